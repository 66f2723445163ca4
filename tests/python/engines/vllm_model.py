"""vllm_model: a model that nobody has to download: a small Llama of random weights.

Weights are large enough that what attention reads decides the tokens.
"""

import json
import os

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 512,
    "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32,
    "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    "hidden_act": "silu", "tie_word_embeddings": False, "torch_dtype": "float32",
    "bos_token_id": 1, "eos_token_id": 2,
}


def make(folder, seed=0, **changes):
    """Write config.json and model.safetensors. The same seed gives the same weights."""
    import torch
    from safetensors.torch import save_file

    config = {**CONFIG, **changes}
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"] * config["head_dim"]
    kv_heads = config["num_key_value_heads"] * config["head_dim"]
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], hidden),
              "lm_head.weight": (config["vocab_size"], hidden), "model.norm.weight": (hidden,)}
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        shapes.update({
            at + "input_layernorm.weight": (hidden,),
            at + "post_attention_layernorm.weight": (hidden,),
            at + "self_attn.q_proj.weight": (heads, hidden),
            at + "self_attn.k_proj.weight": (kv_heads, hidden),
            at + "self_attn.v_proj.weight": (kv_heads, hidden),
            at + "self_attn.o_proj.weight": (hidden, heads),
            at + "mlp.gate_proj.weight": (inner, hidden),
            at + "mlp.up_proj.weight": (inner, hidden),
            at + "mlp.down_proj.weight": (hidden, inner),
        })
    generator = torch.Generator().manual_seed(seed)
    tensors = {name: torch.ones(shape) if len(shape) == 1 else
               torch.randn(shape, generator=generator) * 0.2
               for name, shape in sorted(shapes.items())}
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w", encoding="ascii") as file:
        json.dump(config, file)
    save_file(tensors, os.path.join(folder, "model.safetensors"), {"format": "pt"})
