from dcmq.cli.app import app

app(prog_name="dcmq")
