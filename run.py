"""The one entry point: `python run.py -m poison=em,ops,tap eps=0.01,0.05`; `python run.py --help` says more."""

from pathlib import Path

from unlearnable.app.cli import main

if __name__ == "__main__":
    main(Path(__file__).with_name("conf"))
