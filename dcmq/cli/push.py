"""``dcmq push``: hand a trained student on."""

from typing import Annotated

import typer

EPILOG = """Examples:

  dcmq push npc-64bits ~/student --license mit
  dcmq push npc-64bits hub:me/scenes-64bits --private
  dcmq push ~/student hub:me/scenes-64bits    # a folder that was pushed is pushed on

The hub takes the token of [bold]hf auth login[/bold], or HF_TOKEN; HF_ENDPOINT names another hub.

README.md is the model card: read it in a folder before you make anything public."""


def push(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Trained run: its folder, or the beginning of its name or key.")
    ],
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="A folder that does not exist yet; or hub:USER/NAME, on the hub.")
    ],
    licence: Annotated[
        str,
        typer.Option("--license", metavar="ID", help="License of the weights, by the hub's name for it, such as mit."),
    ] = "",
    private: Annotated[bool, typer.Option("--private", help="Make a repository that only its owner sees.")] = False,
) -> None:
    """Write a trained student, its settings, metrics and a model card into a folder or onto the Hugging Face hub."""
    from dcmq.cli.console import print_pairs, quoted, visible
    from dcmq.experiments.run_list import find_run_folder
    from dcmq.search.hub import HUB
    from dcmq.sharing.push import push_to_folder, push_to_hub

    on_hub = target.startswith(HUB)
    if private and not on_hub:
        raise typer.BadParameter("only a repository of the hub can be private", param_hint="'--private'")
    folder = find_run_folder(run)
    if on_hub:
        name = target.removeprefix(HUB)
        print_pairs({"pushed": push_to_hub(folder, name, private=private, licence=licence)})
        search = f"hf download {quoted(name)} --local-dir FOLDER, then dcmq search build photos --run FOLDER --images DIR"
    else:
        name = target
        sizes = {file.name: f"{file.stat().st_size:>12,} bytes" for file in push_to_folder(folder, target, licence)}
        print_pairs({"written": target} | sizes, width=20)
        search = f"dcmq search build photos --run {quoted(target)} --images DIR"
    if not licence:
        print("no license     the card says that none was chosen; --license names one")
    print(f"load it        PretrainedStudent.from_pretrained({name!r}), of dcmq.search.pretrained")
    print(f"search         {visible(search)}")
