"""A llama of two layers with random weights, as a GGUF file: it says nothing, but a real server serves it.

    python tiny.py FILE
"""

import sys

import gguf
import numpy

WIDTH, LAYERS, HEADS, INNER, CONTEXT = 64, 2, 4, 128, 16384
BYTE, CONTROL, UNKNOWN, NORMAL = 6, 3, 2, 1


def main(path: str) -> None:
    rows = [(b"<unk>", UNKNOWN), (b"<s>", CONTROL), (b"</s>", CONTROL)]
    rows += [(f"<0x{byte:02X}>".encode(), BYTE) for byte in range(256)]
    rows += [("▁".encode() + word, NORMAL) for word in (b"yes", b"no", b"done", b"more")]
    out = gguf.GGUFWriter(path, "llama")
    out.add_context_length(CONTEXT)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(INNER)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_rope_dimension_count(WIDTH // HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_vocab_size(len(rows))
    out.add_tokenizer_model("llama")
    out.add_token_list([text for text, _ in rows])
    out.add_token_scores([-float(place) for place in range(len(rows))])
    out.add_token_types([kind for _, kind in rows])
    out.add_unk_token_id(0)
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    chance = numpy.random.default_rng(7)

    def tensor(name: str, *shape: int) -> None:
        ones = name.endswith("norm.weight")
        values = numpy.ones(shape) if ones else chance.normal(0, 0.2, shape)
        out.add_tensor(name, values.astype(numpy.float32))

    tensor("token_embd.weight", len(rows), WIDTH)
    tensor("output_norm.weight", WIDTH)
    tensor("output.weight", len(rows), WIDTH)
    for layer in range(LAYERS):
        of = f"blk.{layer}."
        for name in ("attn_norm", "ffn_norm"):
            tensor(f"{of}{name}.weight", WIDTH)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensor(f"{of}{name}.weight", WIDTH, WIDTH)
        tensor(f"{of}ffn_gate.weight", INNER, WIDTH)
        tensor(f"{of}ffn_up.weight", INNER, WIDTH)
        tensor(f"{of}ffn_down.weight", WIDTH, INNER)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


main(sys.argv[1])
