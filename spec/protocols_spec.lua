-- The protocols of ntfy, Gotify and Pushover where they could do harm: tokens in bodies, GET, repetitions, the forms of refusals. What they
-- send is in ntfy_spec.lua, publishers_spec.lua and templates/*/*.case.

local json = require "dkjson";
local world = require "spec.support.world";

-- Posts with these headers alone. A false body is a GET.
local function post(path, headers, body)
	local lines = { (body and "POST " or "GET ") .. path .. " HTTP/1.1", "Host: example.com" };
	for name, value in pairs(headers) do lines[#lines + 1] = name .. ": " .. value; end
	if body then lines[#lines + 1] = "Content-Length: " .. #body; end
	return world.http(table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or ""));
end

local function received()
	local messages, trouble = world.collect();
	assert.same({}, trouble);
	local bodies = {};
	for _, raw in ipairs(messages["user@example.com"]) do bodies[#bodies + 1] = raw:match("<body>(.-)</body>") or raw; end
	return bodies;
end

describe("the protocols of ntfy, Gotify and Pushover", function ()
	local tokens = {};

	local function bearer(name) return { Authorization = "Bearer " .. tokens[name] }; end

	local function with(name, headers)
		local all = bearer(name);
		for key, value in pairs(headers) do all[key] = value; end
		return all;
	end

	setup(function ()
		local hosts = world.defaults().hosts;
		hosts["example.com"].lines = 'post_msg_templates = "templates"';
		hosts["second.example"].lines = "post_msg_require_encryption = true";
		world.start({
			hosts = hosts; extra = 'trusted_proxies = { "127.0.0.1" } http_max_content_size = 100000';
			files = {
				["templates/own.j2"] = '{% extends "ntfy" %}{% block lang %}de{% endblock %}{% block parameters %}level{% endblock %}';
				["templates/child.j2"] = '{% extends "broken" %}'; ["templates/broken.j2"] = "{% if %}";
				["templates/slow.j2"] = '{{ text }}{% block problem %}{% for i in range(100000) %}x{% endfor %}{% endblock %}';
			};
		});
		world.login("user@example.com");
		for _, name in ipairs { "ntfy", "gotify", "pushover", "own" } do
			local words = { "mod_post_msg", "token", "add", "me@example.com", "--to", "user@example.com", "--as", name };
			tokens[name] = world.prosodyctl(words):match("([^\n]*)\n$");
			words[#words + 1] = "--get";
			tokens[name .. " by GET"] = world.prosodyctl(words):match("([^\n]*)\n$");
		end
		local words = { "mod_post_msg", "token", "add", "me@example.com" };
		tokens.any = world.prosodyctl(words):match("([^\n]*)\n$");
		words[#words + 1] = "--get";
		tokens["any by GET"] = world.prosodyctl(words):match("([^\n]*)\n$");
	end);
	teardown(world.stop);

	it("take a token in the body only for the format of the path, and not over plain HTTP where that is forbidden", function ()
		local function body(name) return "token=" .. tokens[name] .. "&user=u&message=hello"; end
		local form = { ["Content-Type"] = "application/x-www-form-urlencoded" };
		local sent = post("/msg/1/messages.json", form, body("pushover"));
		assert.same({ 200, "application/json" }, { sent.status, sent.headers["content-type"] });
		assert.same({ "hello" }, received());
		for _, name in ipairs { "any", "ntfy", "gotify" } do
			for _, path in ipairs { "/msg/1/messages.json", "/msg/user/1/messages.json?as=json", "/msg/x/1/messages.json" } do
				local answer = post(path, form, body(name));
				assert.equal(403, answer.status, path);
				assert.is_nil(answer.body:find(tokens[name], 1, true));
			end
		end
		local remote = { ["Content-Type"] = form["Content-Type"]; ["X-Forwarded-For"] = "192.0.2.7"; Host = nil };
		local lines = "POST /msg/1/messages.json HTTP/1.1\r\nHost: second.example\r\nX-Forwarded-For: 192.0.2.7\r\nContent-Type: "
			.. remote["Content-Type"] .. "\r\nContent-Length: " .. #body("pushover") .. "\r\n\r\n" .. body("pushover");
		assert.equal(403, world.http(lines).status);
		assert.equal(401, post("/msg/user", form, body("pushover")).status);
		-- Other credentials count first.
		local wrong = { ["Content-Type"] = form["Content-Type"]; Authorization = "Basic bWVAZXhhbXBsZS5jb206d3Jvbmc=" };
		assert.equal(401, post("/msg/1/messages.json", wrong, body("pushover")).status);
		assert.equal(401, post("/msg/1/messages.json", form, body("pushover") .. ("x"):rep(9000)).status);
		assert.same({}, received());
	end);

	it("send a topic that is an address there, or refuse it", function ()
		local json_type = with("ntfy", { ["Content-Type"] = "application/json" });
		assert.equal(403, post("/msg", json_type, '{"message": "m", "topic": "other@example.com"}').status);
		assert.equal(403, post("/msg/other@example.com", bearer("ntfy"), "m").status);
		assert.equal(403, post("/msg?to=other", json_type, '{"message": "m"}').status);
		assert.same({}, received());
		for _, topic in ipairs { "other", "user@example.com", "a/b.c", "ü" } do
			assert.equal(200, post("/msg", json_type, '{"message": "m", "topic": "' .. topic .. '"}').status, topic);
		end
		local any = with("any", { ["Content-Type"] = "application/json" });
		assert.equal(200, post("/msg?as=ntfy", any, '{"message": "m", "topic": "user"}').status);
		assert.equal(422, post("/msg?as=ntfy", any, '{"message": "m"}').status);
		assert.equal(422, post("/msg?as=ntfy", any, '{"message": "m", "topic": "user/resource"}').status);
		assert.same({ "m", "m", "m", "m", "m" }, received());
	end);

	it("publish by GET where ntfy does, with a token that may", function ()
		local by_get = bearer("ntfy by GET");
		for _, path in ipairs { "house", "house/json", "house/sse", "house/auth?message=x" } do
			assert.equal(422, post("/msg/" .. path, by_get, false).status, path);
		end
		assert.equal(405, post("/msg/house/publish?message=x", bearer("ntfy"), false).status);
		assert.same({}, received());
		assert.equal(200, post("/msg/house/publish?message=a", by_get, false).status);
		assert.equal(200, post("/msg/house/send", by_get, false).status);
		assert.same({ "a", "triggered" }, received());
		-- To a token without a format, the version is a recipient like any other.
		assert.equal(404, post("/msg/version?body=x", bearer("any by GET"), false).status);
		for _, name in ipairs { "gotify", "gotify by GET", "any" } do
			assert.is_string(json.decode(post("/msg/version", bearer(name), false).body).version, name);
		end
		assert.is_string(json.decode(post("/msg/version", {}, false).body).version);
		for _, method in ipairs { "HEAD", "OPTIONS", "DELETE" } do
			local answer = world.http(method .. " /msg/version HTTP/1.1\r\nHost: example.com\r\n\r\n");
			assert.equal(method == "DELETE" and 405 or 200, answer.status, method);
			assert.equal("", method == "HEAD" and answer.body or "");
			if method ~= "HEAD" then assert.equal("GET, HEAD, OPTIONS, POST, PUT", answer.headers.allow); end
		end
		assert.equal(405, world.http("HEAD /msg/user HTTP/1.1\r\nHost: example.com\r\n\r\n").status);
		assert.equal(401, json.decode(post("/msg/version", { ["X-Gotify-Key"] = "pmsg_wrong" }, false).body).errorCode);
		assert.same({}, received());
	end);

	it("repeat a request with a key only if its parameters are the same, whatever other headers it has", function ()
		for number, name in ipairs { "ntfy", "own" } do
			local function send(title, id)
				local headers = { ["Idempotency-Key"] = "key" .. number; Title = title; ["X-Request-Id"] = id };
				return post("/msg/house", with(name, headers), "text");
			end
			local first = send("a", "one1");
			assert.equal(200, first.status);
			assert.equal(first.body, send("a", "two2").body);
			assert.equal(422, send("b", "one1").status);
			assert.same({ "a\ntext" }, received());
		end
	end);

	it("refuse in the form that their programs show", function ()
		local function error_of(answer, status)
			assert.equal(status, answer.status, answer.body);
			return json.decode(answer.body).error;
		end
		assert.is_string(error_of(post("/msg/nobody@example.com", bearer("ntfy"), "x"), 403));
		assert.is_string(error_of(post("/msg/t", with("ntfy", { Delay = "10m" }), "x"), 422));
		assert.is_string(error_of(post("/msg/t", with("own", { Delay = "10m" }), "x"), 422));
		assert.is_string(error_of(post("/msg/t", bearer("ntfy"), ("x"):rep(200000)), 413));
		assert.equal("Unauthorized", error_of(post("/msg/message", { ["X-Gotify-Key"] = "pmsg_wrong" }, "message=x"), 401));
		local refused = json.decode(post("/msg/message", bearer("gotify"), "{}").body);
		assert.equal(422, refused.errorCode);
		assert.is_string(refused.errorDescription);
		refused = json.decode(post("/msg/1/messages.json", {}, "token=pmsg_wrong&message=x").body);
		assert.equal(0, refused.status);
		assert.equal(1, #refused.errors);
		assert.equal(401, post("/msg/user?as=slow", {}, "{}").status);
		-- A message that bounces.
		local any = with("any", { ["Content-Type"] = "application/json" });
		assert.is_string(error_of(post("/msg/nobody?as=ntfy", any, '{"message": "x"}'), 404));
		assert.same({}, received());
	end);

	it("show the id that the query gives", function ()
		local sent = post("/msg/house?id=mine", bearer("ntfy"), "x");
		assert.equal("application/json", sent.headers["content-type"]);
		local answer = json.decode(sent.body);
		assert.equal("mine", answer.id);
		assert.equal(1, #received());
		local gotify_type = with("gotify", { ["Content-Type"] = "application/json" });
		for _, id in ipairs { "007", "abc", "9999999999999999" } do
			assert.equal(422, post("/msg/message?id=" .. id, gotify_type, '{"message": "x"}').status, id);
		end
		answer = json.decode(post("/msg/message?id=42", with("gotify", { ["Content-Type"] = "application/json" }), '{"message": "x"}').body);
		assert.equal(42, answer.id);
		assert.equal(1, #received());
	end);

	it("can be replaced and extended", function ()
		assert.equal(200, post("/msg/house", bearer("own"), "hello").status);
		assert.equal(200, post("/msg/house/publish/?title=T", with("own", { Priority = "5" }), "hello").status);
		assert.same({ "hello", "❗ T\nhello" }, received());
		assert.equal(503, post("/msg/user?as=child", with("any", { ["Content-Type"] = "text/plain" }), "hello").status);
		assert.same({}, received());
	end);

	it("send a text that begins like JSON", function ()
		for _, text in ipairs { "{template} is done", "{a: 1" } do
			assert.equal(200, post("/msg/user?as=ntfy", with("any", { ["Content-Type"] = "text/plain" }), text).status);
			assert.equal(400, post("/msg?as=ntfy&to=user", with("any", { ["Content-Type"] = "text/plain" }), text).status);
		end
		assert.same({ "{template} is done", "{a: 1" }, received());
	end);

	it("read JSON beside the name of a file", function ()
		local headers = with("ntfy", { ["Content-Type"] = "application/json"; Filename = "plan.pdf" });
		assert.equal(200, post("/msg", headers, '{"topic": "t", "message": "m", "attach": "https://example.com/c"}').status);
		assert.same({ "m" }, received());
		-- Other programs post no files.
		local named = { ["Content-Type"] = "application/json"; ["Content-Disposition"] = 'attachment; filename="a"' };
		assert.equal(200, post("/msg/user?as=json", with("any", named), '"a text"').status);
		assert.same({ "a text" }, received());
		assert.equal(200, post("/msg/t", with("ntfy", { Title = "the token pmsg_abc" }), "m").status);
		assert.same({ "the token pmsg_abc\nm" }, received());
	end);

	it("have nothing to log but the broken template", function ()
		for _, line in ipairs(world.errors()) do assert.is_truthy(line:find("broken", 1, true), line); end
	end);
end);
