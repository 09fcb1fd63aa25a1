-- Templates of an administrator: files that change and break, prosodyctl, tokens, signatures, keys. The messages of templates are in
-- templates/*/*.case and spec/cases/webhooks.

local world = require "spec.support.world";

local function post(path, body, headers)
	local all = { ["Content-Type"] = "application/json" };
	for name, value in pairs(headers or {}) do all[name] = value; end
	return world.http(world.request(path, body, all));
end

-- The bodies of the messages that user@example.com has received by now.
local function received()
	local messages, trouble = world.collect();
	assert.same({}, trouble);
	local bodies = {};
	for _, raw in ipairs(messages["user@example.com"]) do bodies[#bodies + 1] = raw:match("<body>(.-)</body>"); end
	return bodies;
end

local function path_of(name) return world.server.dir .. "/templates/" .. name .. ".j2"; end

-- Replaces the file, as an editor does.
local function write(name, text)
	local file = assert(io.open(path_of(name) .. ".new", "wb"));
	file:write(text);
	file:close();
	assert(os.rename(path_of(name) .. ".new", path_of(name)));
end

local function ctl(words, feed)
	table.insert(words, 1, "mod_post_msg");
	return world.prosodyctl(words, feed);
end

local function make_token(...)
	local out, err, status = ctl { "token", "add", "me@example.com", ... };
	assert.equal(0, status, err);
	return out:match("([^\n]*)\n$"), err:match("the token (%x+)");
end

-- The HMAC-SHA256 of a body, by openssl.
local function sign(secret, body)
	local name = os.tmpname();
	local file = assert(io.open(name, "wb"));
	file:write(body);
	file:close();
	local pipe = assert(io.popen(("openssl dgst -sha256 -hmac '%s' -r '%s'"):format(secret, name)));
	local code = pipe:read("*a"):match("^%x+");
	pipe:close();
	os.remove(name);
	return assert(code, "openssl has made no code");
end

describe("templates", function ()
	setup(function ()
		local hosts = world.defaults().hosts;
		hosts["example.com"].lines = 'post_msg_templates = "templates" post_msg_credential_recheck = 0';
		world.start({ hosts = hosts; files = { ["templates/mine.j2"] = "one {{ text }}", ["templates/broken.j2"] = "{% if %}" } });
		world.login("user@example.com");
	end);
	teardown(world.stop);

	it("are parsed when the module is loaded, and the log names broken ones", function ()
		local found = world.errors();
		assert.equal(1, #found);
		assert.is_truthy(found[1]:find("the template broken, line 1, column 7 is broken", 1, true), found[1]);
	end);

	it("are read again when their file changes", function ()
		assert.equal(200, post("/msg/user?as=mine", '{"text": "a"}').status);
		write("mine", "two {{ text }}");
		assert.equal(200, post("/msg/user?as=mine", '{"text": "b"}').status);
		write("mine", "{% block subject %}three{% endblock %}{{ text }}");
		assert.equal(200, post("/msg/user?as=mine", '{"text": "c"}').status);
		assert.same({ "one a", "two b", "c" }, received());
	end);

	it("that break are logged once, and work again once they are corrected", function ()
		local mark = world.log_mark();
		write("mine", "{{ text");
		for _ = 1, 3 do assert.equal(503, post("/msg/user?as=mine", '{"text": "d"}').status); end
		assert.equal(1, #world.errors(mark));
		write("mine", "{{ text|nofilter }}");
		assert.equal(503, post("/msg/user?as=mine", '{"text": "d"}').status);
		assert.equal(2, #world.errors(mark));
		write("mine", "four {{ text }}");
		assert.equal(200, post("/msg/user?as=mine", '{"text": "e"}').status);
		write("mine", "{{ text|nofilter }}");
		assert.equal(503, post("/msg/user?as=mine", '{"text": "d"}').status);
		assert.equal(3, #world.errors(mark));
		write("mine", "four {{ text }}");
		assert.equal(200, post("/msg/user?as=mine", '{"text": "f"}').status);
		assert.same({ "four e", "four f" }, received());
	end);

	it("of the administrator replace the module's own, and may extend each other", function ()
		local slack = '{"text": "hello"}';
		assert.equal(200, post("/msg/user?as=slack", slack).status);
		write("slack", "own {{ text }}");
		assert.equal(200, post("/msg/user?as=slack", slack).status);
		write("child", '{% extends "mine" %}');
		assert.equal(200, post("/msg/user?as=child", slack).status);
		write("mine", "five {{ text }}");
		assert.equal(200, post("/msg/user?as=child", slack).status);
		write("slack", '{% extends "built-in/slack" %}{% block oob_url %}https://example.com/{% endblock %}');
		assert.equal("ok", post("/msg/user?as=slack", slack).body);
		write("slack", '{% extends "slack" %}'); -- it extends itself
		assert.equal(422, post("/msg/user?as=slack", slack).status);
		os.remove(path_of("slack"));
		assert.equal(200, post("/msg/user?as=slack", slack).status);
		assert.equal(422, post("/msg/user?as=built-in/slack", slack).status);
		assert.same({ "hello", "own hello", "four hello", "five hello", "hello", "hello" }, received());
	end);

	it("cannot read other files", function ()
		write("mine", '{% include "../prosody.cfg.lua" %}');
		assert.equal(503, post("/msg/user?as=mine", "{}").status);
		write("mine", '{% include "/etc/passwd" %}');
		assert.equal(503, post("/msg/user?as=mine", "{}").status);
		write("mine", "six {{ text }}");
	end);

	it("that take long do not block other requests", function ()
		write("greedy", "{% for i in range(100000) %}{{ text }}{% endfor %}");
		assert.equal(422, post("/msg/user?as=greedy", '{"text": "x"}').status);
		write("several", "{{ text }}");
		local request = world.request("/msg/user?as=several", '{"text": "x"}', { ["Content-Type"] = "application/json" });
		for _, answer in ipairs { world.http(request:rep(20), 20) } do assert.equal(200, answer.status); end
		assert.equal(20, #received());
	end);

	it("are listed, shown and tried by prosodyctl", function ()
		local out, err, status = ctl { "template", "list" };
		out = "\n" .. out;
		assert.equal(1, status, err); -- one is broken
		assert.is_truthy(out:find("\nalertmanager  %(comes with the module%)\n"), out);
		assert.is_truthy(out:find("\nmine  [^\n]*/templates/mine%.j2\n"), out);
		assert.is_truthy(out:find("\nbroken  [^\n]*/templates/broken%.j2  [^\n]*line 1, column 7"), out);

		out, err, status = ctl { "template", "show", "mine" };
		assert.equal(0, status, err);
		assert.is_truthy(out:find("six {{ text }}\n$"), out);

		write("headed", "{{ text }} {{ headers['X-Event'] }}{% block subject %}S{% endblock %}{% block answer %}ok{% endblock %}");
		out, err, status = ctl({ "template", "try", "headed", "--header", "X-Event: push" }, '{"text": "tried"}');
		assert.equal(0, status, err);
		assert.is_truthy(out:find("subject: S\nanswer: 200 ok\n\ntried push\n$"), out);

		for _, words in ipairs {
			{ "template" }, { "template", "show" }, { "template", "show", "nonesuch" }, { "template", "show", "broken" }, { "template", "list", "x" };
			{ "template", "try", "mine", "--header", "x" };
		} do
			out, err, status = ctl(words, "{}");
			assert.equal(1, status, table.concat(words, " "));
			assert.is_truthy(err ~= "", out);
		end
		write("mine", "{{ text or fail('there is no text') }}");
		out, err, status = ctl({ "template", "try", "mine" }, "{}");
		assert.equal(1, status, out);
		assert.is_truthy(err:find("mine, line 1, column 12: there is no text", 1, true), err);
		os.remove(path_of("broken"));
		out, err, status = ctl { "template", "list" };
		assert.equal(0, status, out .. err);
	end);
end);

describe("a token", function ()
	setup(function ()
		local hosts = world.defaults().hosts;
		hosts["example.com"].lines = 'post_msg_templates = "templates" post_msg_credential_recheck = 0';
		world.start({ hosts = hosts; files = { ["templates/mine.j2"] = "{{ text }}" } });
		world.login("user@example.com");
	end);
	teardown(world.stop);

	it("for one format may not send another", function ()
		local token, id = make_token("--as", "mine");
		local bearer = { Authorization = "Bearer " .. token };
		assert.equal(200, post("/msg/user?as=mine", '{"text": "a"}', bearer).status);
		local answer = post("/msg/user?as=slack", '{"text": "b", "body": "b"}', bearer);
		assert.equal(403, answer.status);
		assert.is_truthy(answer.body:find(id, 1, true), answer.body);
		assert.same({ "a" }, received());
	end);

	it("works if a program appends text to a URL that ends with the token", function ()
		local token = make_token("--to", "user@example.com");
		local bare = { Authorization = false };
		for _, path in ipairs {
			"/msg/user?as=slack&token=" .. token .. "/slack";
			"/msg/user?as=discord&token=" .. token .. "?wait=True";
			"/msg/user/slack?as=slack&token=" .. token;
			"/msg/user/message?as=gotify&token=" .. token;
			"/msg/user@example.com/message?token=" .. token .. "&as=gotify";
			"/msg?as=discord&token=" .. token .. "&to=user?wait=true";
			"/msg/user?token=" .. token .. "&as=discord/slack";
		} do
			local answer = post(path, '{"text": "a", "content": "a", "message": "a"}', bare);
			assert.equal(path:find("discord.*wait") and 200 or path:find("discord$") and 204 or 200, answer.status, path .. "\n" .. answer.body);
			assert.same({ "a" }, received(), path);
			if path:find("wait", 1, true) then assert.is_truthy(answer.body:find('"id": ?"%d+"'), answer.body); end
		end
		local answer = post("/msg/user?as=gotify&title=T&priority=10&message=M&token=" .. token, "", { Authorization = false; ["Content-Type"] = false });
		assert.equal(200, answer.status, answer.body);
		assert.is_truthy(answer.body:find('"priority": ?10'), answer.body);
		assert.same({ "❗ T\nM" }, received());
		-- A text that no template declares is part of the address, and of the token.
		assert.equal(422, post("/msg/user/other?as=gotify&token=" .. token, '{"message": "a"}', bare).status);
		assert.equal(422, post("/msg/user/message?as=slack&token=" .. token, '{"text": "a"}', bare).status);
		assert.same({}, received());
	end);

	it("may be in the header of Gotify's clients", function ()
		local token = make_token();
		local key = { Authorization = false; ["X-Gotify-Key"] = token };
		assert.equal(200, post("/msg/user?as=mine", '{"text": "a"}', key).status);
		assert.equal(200, post("/msg/user?as=mine&token=" .. token, '{"text": "b"}', key).status);
		assert.equal(400, post("/msg/user?as=mine&token=" .. make_token(), '{"text": "c"}', key).status);
		assert.equal(401, post("/msg/user?as=mine", '{"text": "c"}', { Authorization = false; ["X-Gotify-Key"] = "AbcDef" }).status);
		assert.same({ "a", "b" }, received());
	end);

	it("with a webhook secret sends only requests that are signed with it", function ()
		local secret = "It is a secret, $ and all";
		local token, id = make_token("--webhook-secret", secret);
		local body = '{"text": "signed"}';
		local code = sign(secret, body);
		local function with(headers, text)
			headers.Authorization = "Bearer " .. token;
			return post("/msg/user?as=mine", text or body, headers);
		end
		for _, headers in ipairs {
			{ ["X-Hub-Signature-256"] = "sha256=" .. code }, { ["X-Gitea-Signature"] = code }, { ["X-Gitlab-Token"] = secret };
			{ ["X-Gitea-Signature"] = code; ["X-Hub-Signature-256"] = "sha256=" .. code };
		} do
			assert.equal(200, with(headers).status);
		end
		assert.equal(4, #received());
		for _, headers in ipairs {
			{}, { ["X-Hub-Signature-256"] = code }, { ["X-Hub-Signature"] = "sha1=" .. code }, { ["X-Gitea-Signature"] = code:gsub("%x$", "g") };
			{ ["X-Gitlab-Token"] = "It is a secret" }, { ["X-Gitea-Signature"] = code; ["X-Gitlab-Token"] = "x" };
		} do
			local answer = with(headers);
			assert.equal(401, answer.status);
			assert.is_truthy(answer.headers["www-authenticate"]);
			assert.is_truthy(answer.body:find(id, 1, true), answer.body);
			assert.is_nil(answer.body:find(token, 1, true) or answer.body:find(secret, 1, true));
		end
		assert.equal(401, with({ ["X-Gitea-Signature"] = code }, '{"text": "another"}').status);
		assert.equal(401, post("/msg/user", "plain", { Authorization = "Bearer " .. token; ["Content-Type"] = "text/plain" }).status);
		assert.same({}, received());
		assert.is_nil(world.log():find(secret, 1, true));
		local listed = ctl { "token", "list" };
		assert.is_truthy(listed:find(id .. "[^\n]*webhook signed"), listed);
		assert.is_nil(listed:find(secret, 1, true));
	end);

	it("verifies the signature of a large body in slices", function ()
		local token = make_token("--webhook-secret", "large");
		local body = '{"text": "' .. ("x"):rep(1000000) .. '"}';
		local code = sign("large", body);
		local headers = { Authorization = "Bearer " .. token; ["X-Gitea-Signature"] = code };
		assert.equal(200, post("/msg/user?as=mine", body, headers).status);
		local text = received()[1];
		assert.is_truthy(#text > 180000 and #text < 196608 and text:find("x…$"), #text);
	end);

	it("with wrong signatures is throttled like a wrong token", function ()
		local token = make_token("--webhook-secret", "throttled");
		local headers = { Authorization = "Bearer " .. token; ["X-Gitlab-Token"] = "guess" };
		local statuses = {};
		for _ = 1, 12 do statuses[post("/msg/user?as=mine", '{"text": "x"}', headers).status] = true; end
		assert.is_true(statuses[429]);
		headers["X-Gitlab-Token"] = "throttled";
		assert.equal(200, post("/msg/user?as=mine", '{"text": "right"}', headers).status);
		assert.same({ "right" }, received());
	end);
end);

describe("an Idempotency-Key", function ()
	setup(function ()
		local hosts = world.defaults().hosts;
		hosts["example.com"].lines = 'post_msg_templates = "templates"';
		world.start({ hosts = hosts; files = {
			["templates/mine.j2"] = "{{ text }}{% block answer %}got it{% endblock %}", ["templates/other.j2"] = "other {{ text }}";
		} });
		world.login("user@example.com");
	end);
	teardown(world.stop);

	it("repeats the answer of a request with a format", function ()
		local key = { ["Idempotency-Key"] = "k1" };
		for _ = 1, 2 do
			local answer = post("/msg/user?as=mine", '{"text": "once"}', key);
			assert.same({ 200, "got it" }, { answer.status, answer.body });
		end
		assert.equal(422, post("/msg/user?as=other", '{"text": "once"}', key).status);
		assert.equal(422, post("/msg/user?as=mine&to=user", '{"text": "once"}', key).status);
		assert.same({ "once" }, received());
	end);

	it("does not depend on the token in the query", function ()
		local key = { ["Idempotency-Key"] = "k2"; Authorization = false };
		local first, second = make_token(), make_token();
		assert.equal(200, post("/msg/user?as=mine&token=" .. first, '{"text": "once"}', key).status);
		assert.equal(200, post("/msg/user?token=" .. second .. "&as=mine", '{"text": "once"}', key).status);
		assert.same({ "once" }, received());
	end);

	it("can come with a token", function ()
		local function file_of(name, text)
			local path = world.server.dir .. "/" .. name;
			local file = assert(io.open(path, "w"));
			file:write(text);
			file:close();
			return path:sub(#(os.getenv("PROSODY_ROOT") or "") + 1); -- as prosodyctl sees it, in its root
		end
		local own = file_of("own.j2", "{{ headers.x_event }}: {{ text }}");
		local token = make_token("--as", "json", "--template", own);
		local function send(event)
			return post("/msg/user", '{"text": "a"}', { Authorization = "Bearer " .. token; ["X-Event"] = event; ["Idempotency-Key"] = "of-a-token" });
		end
		assert.equal(200, send("one").status);
		assert.equal(200, send("one").status);
		-- The template reads this header.
		assert.equal(422, send("two").status);
		assert.same({ "one: a" }, received());
		for _, words in ipairs {
			{ "line 1", "--as", "json", "--template", file_of("faulty.j2", "{% if %}") };
			{ "needs the format json", "--as", "slack", "--template", own };
			{ "cannot be read", "--as", "json", "--template", own .. ".none" };
			{ "16384 bytes", "--as", "json", "--template", file_of("long.j2", ("x"):rep(20000)) };
		} do
			local sentence = table.remove(words, 1);
			local _, err, status = ctl { "token", "add", "me@example.com", (table.unpack or unpack)(words) };
			assert.equal(1, status, sentence);
			assert.is_truthy(err:find(sentence, 1, true), err);
		end
	end);
end);
