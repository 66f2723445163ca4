"""cistern.engines: what an inference engine is given, so that it keeps its KV cache in Cistern.

    cistern.engines.vllm      CisternConnector, CisternOffloadingSpec
    cistern.engines.sglang    CisternStorage, for HiCache
    cistern.engines.lmcache   CisternPlugin, for LMCache's native_plugin

Each is loaded by its engine, by module path, and imports that engine; docs/engines.md has the
flags. All follow one rule: a doubt is a miss. Without a sidecar the engine goes on without cache,
says so once, and has its cache back as soon as the sidecar is.
"""
