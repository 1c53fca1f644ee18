"""Official addresses. Sizes and MD5 as quoted by public code that downloads them; NUS-WIDE publishes neither."""

from dcmq.data.downloads import Archive

_COCO = "http://images.cocodataset.org"
_MIRFLICKR = "https://press.liacs.nl/mirflickr/mirflickr25k.v3b"
_NUSWIDE = "https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide"

ARCHIVES = {
    "coco": (
        Archive(f"{_COCO}/annotations/annotations_trainval2017.zip", 252_907_541, "f4bbac642086de4f52a3fdda2de5fa2c"),
        Archive(f"{_COCO}/zips/val2017.zip", 815_585_330, "442b8da7639aecaf257c1dceb8ba8c80"),
        Archive(f"{_COCO}/zips/train2017.zip", 19_336_861_798, "cced6f7f71b7629ddf16f17bbcfab6b2"),
    ),
    "mirflickr": (
        Archive(
            f"{_MIRFLICKR}/mirflickr25k_annotations_v080.zip",
            207_220,
            "aa0138c79892b1b670184d142380948f",
            into="mirflickr25k_annotations_v080",
        ),
        Archive(f"{_MIRFLICKR}/mirflickr25k.zip", 3_069_184_257, "a23d0a8564ee84cda5622a6c2f947785"),
    ),
    "nuswide": (
        Archive(f"{_NUSWIDE}/Groundtruth.zip", into="Groundtruth"),
        Archive(f"{_NUSWIDE}/ConceptsList.zip", into="ConceptsList"),
        Archive(f"{_NUSWIDE}/ImageList.zip", into="ImageList"),
        Archive(f"{_NUSWIDE}/NUS_WID_Tags.zip", into="NUS_WID_Tags"),
    ),
}
