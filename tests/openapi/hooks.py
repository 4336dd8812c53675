"""What schemathesis may not ask for: answers that a server gives truly, and that count as its failures all the same."""
import schemathesis

# A time-out of next to nothing is answered 504; an instruction that this model has no place for, and a text that may not be cut
# and is too long, 422.
TRULY_REFUSED = ("timeout", "timeout_ms", "instruction", "instruct")
UNCUT = {"truncate": (False, "NONE"), "truncation": (False,)}


@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict):
        for name in TRULY_REFUSED:
            body.pop(name, None)
        for name, values in UNCUT.items():
            if name in body and any(body[name] is v or body[name] == v and isinstance(v, str) for v in values):
                del body[name]
        if isinstance(body.get("parameters"), dict):
            body["parameters"].pop("instruct", None)
        tensors = body.get("inputs")
        if isinstance(tensors, list) and len(tensors) == 2 and all(isinstance(t, dict) and t.get("datatype") == "BYTES" for t in tensors):
            # The generator does not know prefixItems: any two tensors.
            for tensor, name in zip(tensors, ("query", "documents")):
                tensor["name"] = name
            if isinstance(tensors[0].get("data"), list):
                tensors[0]["data"] = tensors[0]["data"][:1]
    return body
