"""A process that pushes a run to a hub on this machine, and asks that hub for all that can go right and wrong.

    python hub_session.py RUN FOLDER

Prints JSON: for each step what came back, or the line of the error. Files of the repository are written to FOLDER.
"""

import json
import os
import sys
from pathlib import Path

from mock_hub import TOKEN, MockHub


def main(run: Path, folder: Path) -> dict:
    """The answers by step."""
    with MockHub() as hub:
        # The hub's client reads these when it is imported.
        os.environ |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(folder / "hf"), "HF_TOKEN": TOKEN}
        from dcmq.core.errors import DcmqError
        from dcmq.search.hub import fetch
        from dcmq.search.pretrained import MODEL, PretrainedStudent
        from dcmq.sharing.push import push_to_hub

        answers = {"address": hub.address}

        def step(name, work):
            hub.requests.clear()
            try:
                answers[name] = work()
            except DcmqError as error:
                answers[name] = f"DcmqError: {error}"

        def codewords(source, revision=None):
            return PretrainedStudent.from_pretrained(source, revision).codebooks.flatten()[:3].tolist()

        step("pushed", lambda: push_to_hub(run, "me/student", licence="mit"))
        for name, content in hub.repositories["me/student"].items():
            (folder / name).write_bytes(content)
        answers["commits"] = sum("commit" in path for _, path in hub.requests)
        step("loaded", lambda: codewords("me/student"))
        cached = fetch("me/student", MODEL)
        answers["same bytes"] = cached.read_bytes() == hub.repositories["me/student"][MODEL]
        step("named as of the hub", lambda: codewords("hub:me/student"))
        step("by its commit", lambda: codewords("me/student", hub.commit_of("me/student")))
        step("no revision", lambda: codewords("me/student", "v9"))
        step("no repository", lambda: codewords("me/none"))
        hub.repositories["me/other"] = {"README.md": b"# Other"}
        step("no student", lambda: codewords("me/other"))
        hub.repositories["me/damaged"] = {MODEL: hub.repositories["me/student"][MODEL][:-9]}
        step("damaged", lambda: codewords("me/damaged"))
        step("pushed private", lambda: push_to_hub(run, "me/secret", private=True))
        answers["private"] = sorted(hub.private)
        step("public already", lambda: push_to_hub(run, "me/other", private=True))
        answers["other"] = sorted(hub.repositories["me/other"])
        step("no name", lambda: push_to_hub(run, "a/b/c"))
        os.environ["HF_TOKEN"] = "hf_wrong"
        step("wrong token", lambda: push_to_hub(run, "me/new"))
        step("private to others", lambda: codewords("me/secret"))
        del os.environ["HF_TOKEN"]
        step("no token", lambda: push_to_hub(run, "me/new"))
        answers["asked without token"] = hub.requests[:]
        os.environ["HF_TOKEN"] = TOKEN
        hub.broken = 500
        step("broken push", lambda: push_to_hub(run, "me/new"))
        step("broken, not here", lambda: codewords("me/new"))
        step("broken, here", lambda: codewords("me/student"))
    step("gone push", lambda: push_to_hub(run, "me/new"))
    step("gone, not here", lambda: codewords("me/new"))
    step("gone, here", lambda: codewords("me/student"))
    return answers


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
