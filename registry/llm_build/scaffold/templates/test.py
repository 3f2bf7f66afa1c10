from llm_build.conformance import conformance

test_thing = conformance("slot:acme.thing")
