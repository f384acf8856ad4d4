"""Makes the Parquet files of this folder with pyarrow, in the forms that data sets of the Hugging Face Hub have; run here."""
import pyarrow as pa
import pyarrow.parquet as pq


def write(name, columns, **options):
    pq.write_table(pa.table(columns), f"{name}.parquet", **options)


numbers = pa.list_(pa.int64())
write("classes", {"text": ["good", "bad"] * 600, "label": pa.array(["x", "y"] * 600).dictionary_encode()}, row_group_size=500)
write("encodings", {"text": ["good", "bad"], "label": pa.array([0, 1], pa.int64())}, compression="zstd", data_page_version="2.0",
      use_dictionary=False, column_encoding={"text": "DELTA_BYTE_ARRAY", "label": "DELTA_BINARY_PACKED"})
write("nulls", {"text": ["good", None, "bad", ""], "label": pa.array([0, 1, None, 1], pa.int64())})
write("bytes", {"text": pa.array([b"good", b"caf\xe9"], pa.binary()), "label": ["x", "y"]})
write("numbers", {"text": ["a", "b", "c"], "label": pa.array([1.5, 2.0, float("nan")], pa.float32())})
write("tags", {"id": ["p", "q"], "tokens": [["Ada", "runs"], ["Paris"]], "tags": pa.array([[1, 0], [2]], numbers)})
write("misaligned", {"tokens": [["Ada", "runs"], ["Paris"]], "tags": pa.array([[1, 0], [2, 0]], numbers)})
write("nested", {"tokens": pa.array([[["Ada"], ["runs"]]]), "tags": pa.array([[1, 0]], numbers)})
answers = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))])
write("answers", {"id": ["p", "q"], "question": ["who?", "what?"], "context": ["a cat sat", "a dog ran"],
                  "answers": pa.array([{"text": ["cat", "a cat"], "answer_start": [2, 0]}, {"text": [], "answer_start": []}], answers)})
write("choices", {"text": ["t"], "choices": pa.array([{"text": ["a", "b"], "label": ["A", "B"]}]), "label": ["B"]})
write("several", {"text": ["a", "b", "c"], "label": pa.array([[0, 2], [], [1]], numbers)})
write("flags", {"text": ["a", "b"], "toxic": pa.array([1, 0], pa.int8()), "insult": pa.array([False, True])})
write("empty", {"text": pa.array([], pa.string()), "label": pa.array([], pa.string())})
