"""Mean and standard deviation per channel, in [0, 1], of the pixels that weights in circulation were trained on."""

Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]

IMAGENET: Statistics = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OPENAI: Statistics = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF: Statistics = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
