"""Write ONNX files with exporters of other frameworks: Keras through tf2onnx, scikit-learn through skl2onnx.

Runs in a virtual environment of its own (dependency group ``origins``), since TensorFlow and torch are large and
disagree about what they stand on: ``make benchmark-coverage`` calls it with the folder to write to. scikit-learn's
models are trained on its handwritten digits; Keras's have random weights.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

KERAS = (
    *("MobileNetV2", "MobileNetV3Small", "ResNet50V2", "EfficientNetV2B0", "DenseNet121", "NASNetMobile"),
    "Xception",
)
OPSETS = (13, 18)


def write_keras(folder: Path) -> None:
    """Write Keras's own architectures, and small recurrent and convolutional classifiers."""
    import keras
    import tensorflow as tf
    import tf2onnx

    layers = keras.layers

    def sequence(*parts: Any, shape: tuple[int, ...]) -> Any:
        return keras.Sequential([keras.Input(shape), *parts, layers.Dense(10, activation="softmax")])

    def application(name: str) -> Callable[[], Any]:
        make = getattr(keras.applications, name)
        return lambda: make(weights=None, classes=100, classifier_activation=None)

    makers = {name: application(name) for name in KERAS}
    # unroll=True: tf2onnx takes no dynamic loops of Keras 3.
    makers["lstm"] = lambda: sequence(layers.LSTM(32, unroll=True), shape=(20, 8))
    makers["bidirectional_gru"] = lambda: sequence(layers.Bidirectional(layers.GRU(24, unroll=True)), shape=(20, 8))
    makers["conv1d"] = lambda: sequence(
        layers.Conv1D(16, 5, activation="relu"), layers.GlobalAveragePooling1D(), shape=(128, 2)
    )
    makers["separable_cnn"] = lambda: sequence(
        layers.SeparableConv2D(16, 3, padding="same"),
        layers.BatchNormalization(),
        layers.PReLU(shared_axes=[1, 2]),
        layers.MaxPooling2D(padding="same"),
        layers.Conv2DTranspose(8, 3, strides=2),
        layers.Resizing(20, 20),
        layers.Flatten(),
        shape=(33, 33, 3),
    )
    for name, make in makers.items():
        for opset in OPSETS:
            path = folder / f"keras-{name}-{opset}.onnx"
            if path.exists():
                continue
            keras.utils.set_random_seed(0)
            network = make()
            specification = (tf.TensorSpec((None, *network.input_shape[1:]), tf.float32, name="input"),)
            try:
                model, _ = tf2onnx.convert.from_function(
                    tf.function(lambda x, network=network: network(x, training=False)),
                    input_signature=specification,
                    opset=opset,
                )
            except Exception as error:  # noqa: BLE001 - an exporter's failure is a row of the table, whatever its type
                print(f"{path.name}: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
                continue
            path.write_bytes(model.SerializeToString())
            print(path.name, file=sys.stderr)


def write_sklearn(folder: Path) -> None:
    """Write scikit-learn's differentiable classifiers, trained."""
    import numpy as np
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression, SGDClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    images, labels = load_digits(return_X_y=True)
    images = images.astype(np.float32)
    models = {
        "logistic_regression": LogisticRegression(max_iter=500),
        "mlp": MLPClassifier((64, 32), random_state=0, max_iter=60),
        "mlp_tanh": MLPClassifier((48,), activation="tanh", random_state=0, max_iter=60),
        "sgd": SGDClassifier(loss="log_loss", random_state=0),
        "scaled_mlp": make_pipeline(StandardScaler(), MLPClassifier((64,), random_state=0, max_iter=60)),
        "scaled_logistic_regression": make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=500)),
    }
    for name, model in models.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(images, labels)
        for zipmap in (True, False):
            path = folder / f"sklearn-{name}-{'zipmap' if zipmap else 'plain'}.onnx"
            options = {id(model): {"zipmap": zipmap}}
            path.write_bytes(to_onnx(model, images[:1], options=options).SerializeToString())
            print(path.name, file=sys.stderr)


def main() -> None:
    """Write everything that is not there."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_sklearn(folder)
    write_keras(folder)


if __name__ == "__main__":
    main()
