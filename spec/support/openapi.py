"""Compares Prosody's answers with the OpenAPI description: openapi.py DOCUMENT PORT TOKEN FOLDER.

DOCUMENT is the file of the description, PORT Prosody's, FOLDER an empty one for the client that is generated. Sends every
example, requests that are refused, and messages by the client. Prints JSON: `results`, the name of each check, and true or
what is wrong; `sent`, how many messages each recipient has been sent.
"""
import collections
import json
import subprocess
import sys

import httpx
import jsonschema
import openapi_spec_validator

document_path, port, token, folder = sys.argv[1:]
base = f"http://127.0.0.1:{port}"
with open(document_path, encoding="utf-8") as file:
    document = json.load(file)
results, sent = {}, collections.Counter()
web = httpx.Client(trust_env=False, timeout=30, headers={"Host": "example.com", "Accept": "application/json"})
me = ("me@example.com", "mypassword")


def check(name, act):
    assert name not in results, name
    try:
        act()
        results[name] = True
    except Exception as error:  # told, and the others have their turn
        results[name] = f"{type(error).__name__}: {error}"


def resolved(node):
    while "$ref" in node:
        path, node = node["$ref"], document
        for key in path.removeprefix("#/").split("/"):
            node = node[key]
    return node


# An answer may have only the described members.
strict = json.loads(json.dumps(document["components"]))
for name in "Outcome", "Problem":
    strict["schemas"][name]["additionalProperties"] = False


def validate(value, schema):
    validator = jsonschema.Draft202012Validator({"components": strict, "allOf": [schema]})
    for error in validator.iter_errors(value):
        raise AssertionError(f"{value!r}: {error.message}")


def count(answer):
    if answer.headers.get("Content-Type") == "application/json":
        outcomes = answer.json()
        for outcome in outcomes if isinstance(outcomes, list) else [outcomes]:
            sent[outcome["to"]] += outcome["status"] == "sent"


def hold(operation, answer, status):
    """Checks that the answer has this status and the form that the operation declares."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    response = resolved(operation["responses"][str(status)])
    for name, header in response.get("headers", {}).items():
        assert name in answer.headers or not resolved(header).get("required"), f"no {name}"
    if status < 300 and "Content-Type" not in answer.headers:
        assert answer.text == "", answer.text
        return
    content = response["content"]
    media_type = answer.headers["Content-Type"].split(";")[0]
    validate(answer.json() if media_type.endswith("json") else answer.text, content[media_type]["schema"])


def parts(value):
    for name, values in value.items():
        for one in values if isinstance(values, list) else [values]:
            yield name, ("disks.txt", one, "application/x-text") if name == "file" else (None, one)


def body(media_type, value):
    if media_type == "multipart/form-data":
        return {"files": list(parts(value))}
    if media_type == "application/x-www-form-urlencoded":
        return {"data": value}
    if media_type == "application/json":
        value = json.dumps(value)
    return {"content": value, "headers": {"Content-Type": media_type}}


def url_of(path, operation, example=None):
    """With the parameters that are required, or have an example of this name."""
    query = {}
    for parameter in map(resolved, operation["parameters"]):
        if parameter["in"] == "path":
            path = path.replace("{" + parameter["name"] + "}", parameter["example"])
        elif example in parameter.get("examples", {}):
            query[parameter["name"]] = parameter["examples"][example]["value"]
    return httpx.URL(base + path, params=query)


def try_example(path, operation, media_type, name):
    content = resolved(operation["requestBody"])["content"][media_type]
    value = content["examples"][name]["value"]
    declared = [
        (int(status), example)
        for status, response in operation["responses"].items()
        for content_of in resolved(response).get("content", {}).values()
        for key, example in content_of.get("examples", {}).items() if key == name
    ]
    (status, example), = declared
    if status < 300:
        validate(value, content["schema"])
    answer = web.post(url_of(path, operation, name), auth=me, **body(media_type, value))
    count(answer)
    hold(operation, answer, status)
    expected = resolved(example)["value"]
    assert type(answer.json()) is type(expected), answer.text
    for got, wanted in zip(*(one if isinstance(one, list) else [one] for one in (answer.json(), expected)), strict=True):
        assert got.keys() - {"url", "filename"} == wanted.keys(), answer.text  # of a file also its link and name
        for key in {"from", "to", "field", "title", "detail"} & got.keys():
            assert got[key] == wanted[key], answer.text


check("the description validates", lambda: openapi_spec_validator.validate(document))

operations = {
    operation["operationId"]: (path, operation)
    for path, methods in document["paths"].items() for operation in methods.values()
}
for operation_id in "send", "sendTo":
    path, operation = operations[operation_id]
    for media_type, content in resolved(operation["requestBody"])["content"].items():
        for name in content["examples"]:
            check(f"{operation_id}: the example {name}", lambda: try_example(path, operation, media_type, name))

path, operation = operations["send"]
message = {"to": "user@example.com", "body": "Hello"}


def post(status, json=message, headers=None, auth=me, url=url_of(path, operation), **more):
    def act():
        answer = web.post(url, json=json if "content" not in more else None, headers=headers, auth=auth, **more)
        count(answer)
        hold(operation, answer, status)
    return act


for name in document["components"]["securitySchemes"]:
    assert {name: []} in document["security"]
    how = {
        "basic": {},
        "bearer": {"auth": None, "headers": {"Authorization": "Bearer " + token}},
        "token": {"auth": None, "url": url_of(path, operation).copy_set_param("token", token)},
    }
    check(f"the credentials {name}", post(201, **how[name]))

check("202", post(202, headers={"Prefer": "wait=1"}))
check("400", post(400, content="{", headers={"Content-Type": "application/json"}))
check("401", post(401, auth=None))
check("404", post(404, json={"to": "nobody@example.com", "body": "Hello"}))
check("404 of several", post(404, json={"to": ["nobody@example.com", "noone@example.com"], "body": "Hello"}))
check("413", post(413, json={"to": "user@example.com", "body": "x" * 300000}))
check("415", post(415, headers={"Content-Encoding": "br"}))
check("422 as text", post(422, json={"to": "user@example.com"}, headers={"Accept": "text/plain"}))


def as_text():
    answer = web.post(url_of(path, operation), json=message, headers={"Accept": "text/plain"}, auth=me)
    sent["user@example.com"] += answer.status_code == 201
    hold(operation, answer, 201)


def as_program(program, payload, status, is_right, **query):
    def act():
        path, operation = operations["sendTo"]
        answer = web.post(url_of(path, operation).copy_merge_params({"as": program, **query}), json=payload, auth=me)
        sent["user@example.com"] += answer.is_success
        hold(operation, answer, status)
        assert is_right(answer), answer.text
    return act


slack, discord, ntfy, gotify = {"text": "Hello"}, {"content": "Hello"}, {"topic": "alerts", "message": "Hello"}, {"message": "Hello"}
kuma = {"msg": "Hello"}
check("200 of Slack", as_program("slack", slack, 200, lambda answer: answer.text == "ok"))
check("200 of Discord", as_program("discord", discord, 200, lambda answer: answer.json()["content"] == "Hello", wait="true"))
check("204 of Discord", as_program("discord", discord, 204, lambda answer: answer.text == ""))
check("200 of ntfy", as_program("ntfy", ntfy, 200, lambda answer: answer.json()["topic"] == "alerts"))
check("200 of Gotify", as_program("gotify", gotify, 200, lambda answer: answer.json()["appid"] == 1))
check("200 of a program without an answer of its own", as_program("uptime-kuma", kuma, 200, lambda answer: answer.json()["status"] == "sent"))


def options(operation_id):
    path, operation = operations[operation_id]
    operation.setdefault("parameters", [])
    answer = web.options(url_of(path, operation))
    hold(operation, answer, 200)
    accepted = set(answer.headers["Accept-Post"].split(", "))
    assert accepted | {"application/octet-stream"} == document["components"]["requestBodies"]["Messages"]["content"].keys()


def schemas():
    for value in [], [message], message, {"html": "x", "unknown": 1}, {"to": ["a", "b"], "body": "x"}:
        validate(value, {"$ref": "#/components/schemas/Message"})
    for value in {}, "x", 1, None, [[message]], [{}], {"to": "user"}, {"body": 1}, {"body": "x", "type": "loud"}:
        try:
            validate(value, {"$ref": "#/components/schemas/Message"})
        except AssertionError:
            continue
        raise AssertionError(f"{value!r} is valid")


check("201 as text", as_text)
check("options", lambda: options("options"))
check("optionsTo", lambda: options("optionsTo"))
check("the schema of messages takes what is one, and nothing else", schemas)


def client():
    with open(folder + "/config.yml", "w", encoding="utf-8") as config:
        config.write("post_hooks: []\n")
    made = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", "--path", document_path, "--config", folder + "/config.yml",
         "--meta", "none", "--output-path", folder + "/post_msg_client"], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    sys.path.insert(0, folder)
    from post_msg_client import AuthenticatedClient, models, types
    from post_msg_client.api.default import send, send_to
    connection = AuthenticatedClient(
        base_url=base, token=token, httpx_args={"trust_env": False},
        headers={"Host": "example.com", "Accept": "application/json"})

    def took(answer, *to):
        outcomes = answer if isinstance(answer, list) else [answer]
        assert [outcome.to for outcome in outcomes] == list(to), answer
        assert all(outcome.status == models.OutcomeStatus.SENT for outcome in outcomes), answer
        sent.update(to)

    user, other = "user@example.com", "other@example.com"
    took(send.sync(client=connection, body=models.Message(to=[user, other], subject="A client", body="Hello")), user, other)
    took(send_to.sync("user", client=connection, body=models.Fields(body="Hello", type_=models.FieldsType.NORMAL)), user)
    with open(document_path, "rb") as content:
        file = types.File(payload=content, file_name="openapi.json", mime_type="application/json")
        took(send_to.sync("user", client=connection, body=models.Multipart(body="A file", file=[file])), user)
    with open(document_path, "rb") as content:
        took(send_to.sync("user", client=connection, filename="a.json", body=types.File(payload=content)), user)
    key = "of-a-client"
    for _ in range(2):
        answer = send_to.sync("user", client=connection, body=models.Message(body="once"), idempotency_key=key)
        assert answer.to == user
    sent[user] += 1
    for program, payload in ("ntfy", ntfy), ("gotify", gotify):
        answer = send_to.sync("user", client=connection, as_=program, body=models.Message.from_dict(payload))
        assert isinstance(answer, models.Answer) and answer.id and answer.message == "Hello", answer
        sent[user] += 1
    answer = send_to.sync_detailed("user", client=connection, as_="discord", body=models.Message.from_dict(discord))
    assert (answer.status_code, answer.parsed) == (204, None), answer
    sent[user] += 1
    took(send_to.sync("user", client=connection, as_="uptime-kuma", body=models.Message.from_dict(kuma)), user)
    problem = send_to.sync("nobody", client=connection, body=models.Message(body="Hello"))
    assert isinstance(problem, models.Problem), problem
    assert (problem.status, problem.condition) == (404, "service-unavailable"), problem
    problem = send_to.sync("user", client=connection, body=models.Message(body="\x1b"))
    assert (problem.status, problem.field, problem.offset) == (422, "body", 0), problem


check("a client that is generated sends, and understands what it is told", client)
print(json.dumps({"results": results, "sent": sent}))
