"""``python -m ops``: write the files that Prometheus, Alertmanager and Grafana read."""

from ops.files import FOLDER, files


def main() -> None:
    """Write every file."""
    for name, text in files().items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(path.relative_to(FOLDER.parent))


if __name__ == "__main__":
    main()
