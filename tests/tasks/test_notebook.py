"""In a notebook one sees how training goes, and the picture of it. Run in a real kernel."""

import queue

import pytest
from jupyter_client.manager import start_new_kernel

from tests.conftest import new_encoder


@pytest.fixture(scope="module")
def kernel():
    manager, client = start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(client, code):
    """What a cell shows: text it prints, by stream, and the data of what it displays."""
    shown, displayed, failures = {"stdout": "", "stderr": ""}, [], []

    def note(message):
        content = message["content"]
        if message["msg_type"] == "stream":
            shown[content["name"]] += content["text"]
        elif message["msg_type"] in ("execute_result", "display_data"):
            displayed.append(content["data"])
        elif message["msg_type"] == "error":
            failures.append("\n".join(content["traceback"]))

    try:
        client.execute_interactive(code, timeout=60, output_hook=note)
    except (TimeoutError, queue.Empty):
        failures.append("it took more than a minute")
    assert not failures, failures[0]
    return shown, displayed


@pytest.fixture(scope="module")
def fitted(kernel, tmp_path_factory, few_words):
    """What the cell shows that fits a classifier, whose name is then `classifier`."""
    folder = tmp_path_factory.mktemp("start") / "model"
    new_encoder(folder, few_words, num_hidden_layers=1)
    return run(
        kernel,
        "import minibert\n"
        "texts, labels = ['a good film', 'a bad film'] * 8, ['good', 'bad'] * 8\n"
        f"classifier = minibert.TextClassifier({str(folder)!r}, epochs=2, batch_size=1)\n"
        "classifier.fit(texts, labels, validation=(texts, labels))\n"
        "None",
    )


def test_an_epoch_is_a_line_without_setting_up_logging(fitted):
    lines = fitted[0]["stdout"].splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "before training",
        "epoch 1 of 2",
        "epoch 2 of 2",
    ]


def test_there_is_a_bar_though_the_output_is_no_terminal(fitted):
    shown, displayed = fitted
    assert "32/32" in shown["stderr"] or displayed, "as text, or as a widget where there are some"


def test_a_classifier_is_shown_as_scikit_learn_draws_it(kernel, fitted):
    _, (shown,) = run(kernel, "classifier")
    assert "sk-estimator" in shown["text/html"] and "TextClassifier(" in shown["text/plain"]


def test_the_learning_curve_is_shown_and_the_backend_left_alone(kernel, fitted):
    backend = "import matplotlib; print(matplotlib.get_backend(auto_select=False))"
    before, _ = run(kernel, backend)
    draw = "from minibert.training.report import plot_history\nplot_history(%s.history_, 0.5)"
    _, (picture,) = run(kernel, draw % "classifier")
    assert "image/png" in picture
    assert run(kernel, backend)[0] == before
    _, (picture,) = run(kernel, "import matplotlib.pyplot as plt\nplt.plot([1, 2]);plt.show()")
    assert "image/png" in picture, "pyplot shows its own, too"
