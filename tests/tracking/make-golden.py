"""Makes golden/tensorboard.json: the bytes of our event files, and what TensorBoard 2.21 itself reads from them.

    npx tsx tests/tracking/tensorboard-example.ts FOLDER
    python tests/tracking/make-golden.py FOLDER

Needs `pip install tensorboard`. Reads twice: by EventAccumulator, and by the reader behind TensorBoard's web server.
"""

import json
import math
import sys
from pathlib import Path

from tensorboard.backend.event_processing import data_provider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext

folder = Path(sys.argv[1])
files = sorted(folder.iterdir())

accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}, purge_orphaned_data=True)
accumulator.Reload()


def number(value):
    return "NaN" if math.isnan(value) else value


scalars = {
    tag: [[event.step, event.wall_time, number(event.value)] for event in accumulator.Scalars(tag)]
    for tag in accumulator.Tags()["scalars"]
}
texts = {
    tag: [[event.step, event.wall_time, event.tensor_proto.string_val[0].decode()] for event in accumulator.Tensors(tag)]
    for tag in accumulator.Tags()["tensors"]
}

multiplexer = EventMultiplexer(tensor_size_guidance={"scalars": 0, "text": 0})
multiplexer.AddRunsFromDirectory(str(folder))
multiplexer.Reload()
provider = data_provider.MultiplexerDataProvider(multiplexer, str(folder))
context = RequestContext()
served = provider.read_scalars(context, experiment_id="", plugin_name="scalars", downsample=10_000)
for tag, points in served["."].items():
    assert [[p.step, p.wall_time, number(p.value)] for p in points] == scalars[tag], tag
assert set(served["."]) == set(scalars)
served_texts = provider.read_tensors(context, experiment_id="", plugin_name="text", downsample=10_000)
for tag, points in served_texts["."].items():
    assert [[p.step, p.wall_time, p.numpy.reshape(-1)[0].decode()] for p in points] == texts[tag], tag
assert set(served_texts["."]) == set(texts)

golden = {"files": [path.read_bytes().hex() for path in files], "scalars": scalars, "texts": texts}
target = Path(__file__).parent / "golden" / "tensorboard.json"
target.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")
print({tag: len(points) for tag, points in {**scalars, **texts}.items()})
