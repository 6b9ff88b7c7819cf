"""Networks of generative models; their objectives and samplers are in `jaxdl.generative`."""

__all__: list[str] = []
