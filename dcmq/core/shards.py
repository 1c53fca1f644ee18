"""Files that the workers of a cluster make: each is the proof that a piece of work is done, whoever did it."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from dcmq.core.errors import DcmqError
from dcmq.core.executors import do_all
from dcmq.core.paths import display_path


def make_on_cluster(
    make: Callable,
    work: Mapping[Path, tuple],
    names: Mapping[Path, str],
    scheduler: str,
    done: Callable[[Path], object],
    say: Callable[[str], object],
) -> None:
    """Let the workers of a cluster make files. One whose worker is killed is made again, at most twice.

    Args:
        make: a function of a file and of its ``work``, which writes the file.
        names: by file, what messages call it.
        done: is given each file as soon as it is there.
        say: is given a line for each file whose worker is killed.

    Raises:
        DcmqError: nobody answers at ``scheduler``, a worker was killed each time, or a file that was made is not in its
            folder. The other files that were made are kept.
    """

    def on_done(file: Path, _: object) -> None:
        if file.name not in os.listdir(file.parent):  # asks a file server anew, unlike is_file
            raise DcmqError(
                f"{names[file]}: a worker of the cluster made {display_path(file)}, and it is not there: start the "
                "workers with DCMQ_HOME set to a folder that they share with this machine"
            )
        done(file)

    todo = {file: (file, *arguments) for file, arguments in work.items()}
    advice = "give each worker more memory; what is done is kept"
    do_all(make, todo, names, on_done, say, scheduler=scheduler, advice=advice)
