-- Sending tokens, end to end: made by prosodyctl and by a chat client, used in each way, limited, and revoked or expired.

local lfs = require "lfs";
local mime = require "mime";
local output_of = require "spec.support.programs".output_of;
local socket = require "socket";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local recheck = 1; -- seconds: post_msg_credential_recheck

-- Every token that was made, and the text of every answer: no answer may contain a token.
local tokens, answer_texts = {}, {};

local function remember(...)
	for _, answer in ipairs { ... } do
		table.insert(answer_texts, answer.body);
		for name, value in pairs(answer.headers) do table.insert(answer_texts, name .. ": " .. value); end
	end
	return ...;
end

local function ctl(...)
	return world.prosodyctl({ "mod_post_msg", "token", ... });
end

-- Makes a token with these options of prosodyctl. > token, id
local function make(...)
	local out, err, status = ctl("add", ...);
	assert.equal(0, status, out .. err);
	local token = out:match("([^\n]*)\n$");
	local id = err:match("%f[%x](%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x)%f[%X]");
	assert.is_truthy(token:match("^pmsg_" .. id .. "_[%w_-]+$"), token);
	table.insert(tokens, token);
	return token, id;
end

local function request(path, credentials, body, headers)
	local all = { ["Authorization"] = credentials or false };
	for name, value in pairs(headers or {}) do all[name] = value; end
	return world.request(path, body or "hello", all);
end

local function post(...)
	return remember(world.http(request(...)));
end

local function with(token) return "Bearer " .. token; end

local function basic(address, password) return "Basic " .. (mime.b64(address .. ":" .. password)); end

local json_body = { ["Content-Type"] = "application/json" };

-- No account has received a message.
local function assert_nothing_arrived()
	local arrived, trouble = world.collect();
	assert.same({}, trouble);
	for address, messages in pairs(arrived) do
		assert.same({}, messages, address);
	end
end

local function assert_refused(status, answer, words)
	assert.equal(status, answer.status, answer.body);
	if words then assert.is_truthy(answer.body:find(words, 1, true), answer.body); end
	assert_nothing_arrived();
end

local function usermanager(call)
	assert(world.lua("local user = require 'core.usermanager'; return (assert(user." .. call .. "))") ~= nil);
end

local function is_13() return not world.server.version:match("^0%."); end

-- All files in Prosody's data folder.
local function stored()
	local results = {};
	local function walk(folder)
		for name in lfs.dir(folder) do
			local path = folder .. "/" .. name;
			local mode = name:sub(1, 1) ~= "." and lfs.attributes(path, "mode");
			if mode == "directory" then
				walk(path);
			elseif mode == "file" then
				local file = assert(io.open(path, "rb"));
				results[path] = file:read("*a");
				file:close();
			end
		end
	end
	walk(world.server.dir .. "/data");
	return results;
end

local function host(lines, accounts)
	return { accounts = accounts; lines = "post_msg_credential_recheck = " .. recheck .. "; " .. lines };
end

describe("sending tokens", function ()
	lazy_setup(function ()
		local passwords = { me = world.password["me@example.com"], user = world.password["user@example.com"],
			other = world.password["other@example.com"], gone = "pw-of-gone", beside = "pw-of-beside", off = "pw-of-off",
			busy = "pw-of-busy", limited = "pw-of-limited" };
		world.start {
			hosts = {
				["example.com"] = host("post_msg_auth_failures = 100000; post_msg_token_limit = 30", passwords);
				["second.example"] = host("", { carol = world.password["carol@second.example"] });
				["limit.example"] = host("post_msg_auth_failures = 3", { me = "pw-of-limit" });
				["only.example"] = host('post_msg_auth_mechanisms = { "Token" }', { me = "pw-of-only" });
				["none.example"] = host('post_msg_auth_mechanisms = { "Basic" }', { me = "pw-of-none" });
				["proxied.example"] = host("http_external_url = 'https://push.example.com/'; http_paths = { post_msg = '/' }", { me = "pw-of-proxied" });
				["long.example"] = { accounts = { me = "pw-of-long" }, lines = "post_msg_credential_recheck = 10000" };
				["https.example"] = host("post_msg_require_encryption = true; trusted_proxies = { '127.0.0.1' }", { me = "pw-of-https" });
			};
			components = 'Component "echo.example.com" "spec_echo"\nComponent "rooms.example.com" "muc"\n\tmuc_room_locking = false';
			extra = "trusted_proxies = { '127.0.0.1' }";
		};
		world.login("me@example.com", "user@example.com", "other@example.com");
	end);

	lazy_teardown(world.stop);

	it("are accepted as Bearer, as the password of Basic, and in the URL", function ()
		local token = make("me@example.com");
		local escaped = token:gsub("[_p]", function (c) return ("%%%02X"):format(c:byte()); end);
		for _, sent in ipairs {
			request("/msg/user", with(token)), request("/msg/user", basic("me@example.com", token)), request("/msg/user", basic("ME", token)),
			request("/msg/user?token=" .. token), request("/msg/user?x=1&%74oken=" .. escaped .. "&y"),
			request("/msg/user?token=" .. token, with(token)), request("/msg/user?token=" .. token, basic("me", token)),
		} do
			assert.equal(201, remember(world.http(sent)).status, sent);
			assert.is_truthy(world.receive("user@example.com"):find("from='me@example.com'", 1, true));
		end
		assert.equal(201, post("/msg/user", basic("me@example.com/cron", token)).status);
		assert.is_truthy(world.receive("user@example.com"):find("from='me@example.com/cron'", 1, true));
	end);

	it("are rejected beside other credentials: 400", function ()
		local token, second = make("me@example.com"), make("me@example.com");
		local password = basic("me@example.com", world.password["me@example.com"]);
		for _, sent in ipairs {
			request("/msg/user?token=" .. token, password), request("/msg/user?token=" .. token, with(second)),
			request("/msg/user?token=" .. token .. "&token=" .. second), request("/msg/user?token=" .. token, "Digest x"),
		} do
			assert_refused(400, remember(world.http(sent)), "two different credentials");
		end
	end);

	it("are valid for one account, at every host that has the module", function ()
		local token, id = make("carol@second.example", "--rate", "4");
		for _, credentials in ipairs { with(token), basic("carol@second.example", token) } do
			for _, name in ipairs { "example.com", "second.example" } do
				assert.equal(201, post("/msg/user@example.com", credentials, nil, { ["Host"] = name }).status);
				assert.is_truthy(world.receive("user@example.com"):find("from='carol@second.example'", 1, true));
			end
		end
		assert_refused(429, post("/msg/user", with(token))); -- the limit counts the messages of both hosts
		assert_refused(429, post("/msg/user@example.com", with(token), nil, { ["Host"] = "second.example" }));
		wire.await("the time of its use", function () return ctl("list", "carol@second.example"):find("used 20%d%d%-"); end);
		assert(world.module("unload", "second.example"));
		wire.await("the end of the token", function () return post("/msg/swallow@echo.example.com", with(token)).status == 401; end);
		assert(world.module("load", "second.example"));
		ctl("revoke", id);
		wire.await("the end of the token", function () return post("/msg/swallow@echo.example.com", with(token)).status == 401; end);
		token = make("me@example.com");
		assert_refused(401, post("/msg/user", basic("user@example.com", token)));
		assert_refused(401, post("/msg/user", basic("@@", token)));
	end);

	it("are accepted in Basic without an account, as either part", function ()
		local token = make("me@example.com");
		for _, pair in ipairs { { "", token }, { token, "" } } do
			assert.equal(201, post("/msg/user", basic(pair[1], pair[2])).status);
			assert.is_truthy(world.receive("user@example.com"):find("from='me@example.com'", 1, true));
		end
		assert_refused(401, post("/msg/user", basic("", "password")));
	end);

	it("that are cut off, or are not accepted here, are refused with a hint", function ()
		local token = make("me@example.com");
		assert_refused(401, post("/msg/user", with(token:sub(1, -2))), "not complete");
		assert_refused(401, post("/msg/user?token=" .. token:sub(2)), "not complete");
		assert_refused(401, post("/msg/user", with((token:gsub(".$", function (last) return last == "A" and "B" or "A"; end)))), "not complete");
	end);

	it("with one recipient need no recipient in the request", function ()
		local token = make("me@example.com", "--to", "user@example.com");
		assert.equal(201, post("/msg", with(token)).status);
		assert.is_truthy(world.receive("user@example.com"));
		assert.equal(201, post("/msg/", with(token), '[{"body": "one"}, {"body": "two", "to": "user@example.com/x"}]', json_body).status);
		for _ = 1, 2 do world.receive("user@example.com"); end
		assert_refused(403, post("/msg/other", with(token)));
		for _, options in ipairs { { "--to", "example.com" }, { "--to", "user@example.com", "--to", "other@example.com" }, {} } do
			assert_refused(422, post("/msg", with((make("me@example.com", (table.unpack or unpack)(options))))));
		end
	end);

	it("that may send by GET do so, and only they", function ()
		local token = make("me@example.com", "--get", "--to", "user@example.com", "--to", "nobody@example.com");
		local function get(path, headers, method)
			local lines = { (method or "GET") .. " " .. path .. " HTTP/1.1", "Host: example.com" };
			for name, value in pairs(headers or {}) do lines[#lines + 1] = name .. ": " .. value; end
			return world.http(table.concat(lines, "\r\n") .. "\r\n\r\n");
		end
		local answer = get("/msg/user?body=The+door+is+open&type=headline&token=" .. token);
		assert.same({ 201, "no-store" }, { answer.status, answer.headers["cache-control"] });
		local raw = world.receive("user@example.com");
		assert.is_truthy(raw:find("type='headline'", 1, true) and raw:find("<body>The door is open</body>", 1, true), raw);
		assert.equal(201, get("/msg/user?body=x", { ["Authorization"] = "Bearer " .. token }).status);
		assert.is_truthy(world.receive("user@example.com"));
		for path, status in pairs { ["/msg/user?body="] = 422, ["/msg/other?body=x"] = 403, ["/msg/nobody?body=x"] = 404 } do
			answer = get(path .. "&token=" .. token);
			assert.same({ status, "no-store" }, { answer.status, answer.headers["cache-control"] });
		end
		for _, header in ipairs { "Sec-Purpose", "Purpose", "X-Moz" } do
			assert.equal(403, get("/msg/user?body=x&token=" .. token, { [header] = "prefetch;prerender" }).status);
		end
		local allowed = "OPTIONS, POST, PUT";
		for _, refused in ipairs { get("/msg/user?body=x&token=" .. token, nil, "HEAD"), get("/msg/user?body=x"),
			get("/msg/user?body=x", { ["Authorization"] = world.basic("me@example.com") }),
			get("/msg/user?body=x&token=" .. make("me@example.com")) } do
			assert.same({ 405, allowed }, { refused.status, refused.headers["allow"] });
		end
		for _, wrong in ipairs { "pmsg_x", (token:gsub("^(pmsg_)....", "%10000")) } do
			assert.equal(401, get("/msg/user?body=x&token=" .. wrong).status);
		end
		assert_nothing_arrived();
	end);

	it("are stored as a hash, and shown nowhere", function ()
		local token, id = make("me@example.com", "--label", "kept");
		local secret = token:match("^pmsg_%x+_(.*)$");
		local record = false;
		for path, text in pairs(stored()) do
			assert.is_nil(text:find(secret, 1, true), path);
			record = record or path:find(id, 1, true) and text:find("hash", 1, true);
		end
		assert.is_truthy(record);
	end);

	it("are stored in files that no other user of the machine can read", function ()
		local _, id = make("me@example.com");
		local record = false;
		for path in pairs(stored()) do
			-- The time of the last use is not secret; the server writes it, with its own umask.
			local is_secret = not path:find("%2dused.dat", 1, true);
			if is_secret and (path:find("/post_msg_", 1, true) or path:find("/post%5fmsg%5f", 1, true)) then
				assert.equal("---", lfs.attributes(path, "permissions"):sub(-3), path);
				record = record or path:find(id, 1, true);
			end
		end
		assert.is_truthy(record);
	end);

	describe("with recipients", function ()
		local token, token_id;

		lazy_setup(function ()
			token, token_id = make("me@example.com", "--to", "User@Example.com", "--to", "rooms.example.com", "--to=echo.example.com");
		end);

		it("send to them in every notation", function ()
			for _, path in ipairs {
				"/msg/user", "/msg/user@example.com", "/msg/USER@Example.com", "/msg/%75ser%40example%2Ecom", "/msg/xmpp:user@example.com",
				"/msg/XMPP:u%2573er@example.com",
			} do
				assert.equal(201, post(path, with(token)).status, path);
				world.receive("user@example.com");
			end
			local body = '[{"to": ["user", "xmpp:user@example.com"], "body": "1"}, {"to": "swallow@echo.example.com", "body": "2"}]';
			assert.equal(201, post("/msg", with(token), body, json_body).status);
			world.receive("user@example.com");
			assert.equal(404, post("/msg/user@example.com/nobody-here", with(token), '{"type": "headline"}', json_body).status == 422 and 404);
			assert.equal(404, post("/msg/no-such-room@rooms.example.com", with(token)).status);
		end);

		it("send to no other recipient: 403 names it, and nothing is sent", function ()
			for _, path in ipairs {
				"/msg/other", "/msg/other@example.com", "/msg/OTHER@Example.com", "/msg/%6fther%40example%2Ecom", "/msg/xmpp:other@example.com",
				"/msg/other@example.com/r", "/msg/example.com", "/msg/xmpp:user", "/msg/user@sub.example.com", "/msg/user@example.com.evil",
				"/msg/team@x.rooms.example.com", "/msg/user@second.example",
			} do
				local answer = post(path, with(token));
				assert_refused(403, answer);
				assert.is_truthy(answer.body:find("token " .. token_id .. " may not send to", 1, true), answer.body);
			end
			assert_refused(403, post("/msg/user", with(token), '{"to": "other", "body": "x"}', json_body), "other@example.com");
			assert_refused(403, post("/msg", with(token), "to=user&to=other&body=x",
				{ ["Content-Type"] = "application/x-www-form-urlencoded" }), "other@example.com");
			assert_refused(403, post("/msg/other", with(token), '--b\r\nContent-Disposition: form-data; name="body"\r\n\r\nx\r\n--b--\r\n',
				{ ["Content-Type"] = "multipart/form-data; boundary=b" }), "other@example.com");
			assert_refused(403, post("/msg/user", with(token), '[{"body": "1"}, {"to": ["user", "other"], "body": "2"}]', json_body), "message 2");
			assert_refused(403, post("/msg/user", with(token), '{"body": "1"}\n{"to": "me", "body": "2"}',
				{ ["Content-Type"] = "application/x-ndjson" }), "me@example.com");
			assert_refused(403, post("/msg/team@conference.example.org", with(token), "type=groupchat&body=x",
				{ ["Content-Type"] = "application/x-www-form-urlencoded" }));
			local many = {};
			for i = 1, 5000 do many[i] = '{"to":"user","body":"' .. i .. '"}'; end
			many[#many + 1] = '{"to":"other","body":"x"}';
			assert_refused(403, post("/msg", with(token), table.concat(many, "\n"), { ["Content-Type"] = "application/x-ndjson" }), "other@example.com");
		end);
	end);

	it("with a room send to it and to its occupants, and to no other room", function ()
		local function enter(room)
			world.send("user@example.com", ("<presence to='%s@rooms.example.com/user'><x xmlns='http://jabber.org/protocol/muc'/></presence>"):format(room));
			world.receive_presence("user@example.com");
		end
		enter("team");
		enter("other");
		world.collect();
		local token = make("me@example.com", "--to", "team@rooms.example.com");
		for _, path in ipairs { "/msg/team@rooms.example.com", "/msg/TEAM@Rooms.Example.com", "/msg/xmpp:team@rooms.example.com" } do
			assert.equal(201, post(path, with(token)).status, path);
			assert.is_truthy(world.receive("user@example.com"):find("from='team@rooms.example.com/me'", 1, true));
		end
		assert_refused(403, post("/msg/other@rooms.example.com", with(token)), "other@rooms.example.com");
		assert_refused(403, post("/msg", with(token), '{"to": ["team@rooms.example.com", "other@rooms.example.com"], "body": "x"}', json_body));
	end);

	it("with a domain send to its addresses, and not to addresses of its subdomains", function ()
		local token = make("me@example.com", "--to", "example.com");
		assert.equal(201, post("/msg/other", with(token)).status);
		world.receive("other@example.com");
		assert_refused(403, post("/msg/swallow@echo.example.com", with(token)));
	end);

	it("with a format send no other format: 403", function ()
		local token = make("me@example.com", "--as", "alertmanager");
		assert.equal(415, post("/msg/user", with(token)).status); -- the text is no payload of Alertmanager
		assert_refused(403, post("/msg/user?as=github", with(token)));
		assert.is_true(post("/msg/user?as=alertmanager", with(token)).status ~= 403);
		assert_nothing_arrived();
	end);

	it("with a format need no `as` in the URL", function ()
		local token = make("me@example.com", "--as", "slack", "--to", "user@example.com");
		local answer = post("/msg", with(token), '{"text": "*Deployed*"}', json_body);
		assert.same({ 200, "ok" }, { answer.status, answer.body });
		assert.is_truthy(world.receive("user@example.com"):find("<body>*Deployed*</body>", 1, true));
		assert.equal(200, post("/msg?subject={{text}}", with(token), '{"text": "x"}', json_body).status);
		assert.is_truthy(world.receive("user@example.com"):find("<subject>x</subject>", 1, true));
	end);

	it("with a format are made with the settings of its programs", function ()
		-- > what is printed beside the token and its id
		local function settings(...)
			local _, err, status = ctl("add", ...);
			assert.equal(0, status);
			return err:match("stands for this token:\n(.*)\n$");
		end
		local to = { "--to", "user@example.com" };
		local url = ("http://example.com:%d/msg"):format(world.server.http_port); -- HTTPS has no port here
		assert.equal("  Server: " .. url .. "\n  Topic: any name\n  Token: TOKEN", settings("limited@example.com", "--as", "ntfy", to[1], to[2]));
		assert.equal("  Server: " .. url .. "\n  Topic: RECIPIENT\n  Token: TOKEN", settings("limited@example.com", "--as", "ntfy"));
		assert.equal("  Server: " .. url .. "/RECIPIENT\n  Token: TOKEN", settings("limited@example.com", "--as", "gotify"));
		assert.equal("  URL: " .. url .. "?token=TOKEN", settings("limited@example.com", "--as", "slack", to[1], to[2]));
		assert.equal("  Server: https://push.example.com\n  Token: TOKEN", settings("me@proxied.example", "--as", "gotify", to[1], to[2]));
		assert.is_nil(settings("limited@example.com"));
	end);

	it("with a rate send no further messages within the minute: 429 says when", function ()
		local token = make("busy@example.com", "--rate", "4");
		local batch = '[{"to": ["user", "other"], "body": "1"}, {"to": "user", "body": "2"}]';
		local key = { ["Idempotency-Key"] = "rate-1" };
		assert.equal(201, post("/msg/user", with(token), nil, key).status);
		assert.equal(201, post("/msg", with(token), batch, json_body).status);
		for _, address in ipairs { "user@example.com", "other@example.com", "user@example.com", "user@example.com" } do world.receive(address); end
		for _, answer in ipairs { post("/msg/user", with(token)), post("/msg", with(token), batch, json_body),
			post("/msg/user?token=" .. token), post("/msg/user", basic("busy/other", token)) } do
			assert_refused(429, answer);
			local seconds = tonumber(answer.headers["retry-after"]);
			assert.is_true(seconds >= 1 and seconds <= 60);
		end
		assert.equal(201, post("/msg/user", with(token), nil, key).status); -- nothing is sent
		assert_nothing_arrived();
		assert_refused(429, post("/msg/user", with(make("busy@example.com", "--rate", "1")), batch, json_body), "3 messages");
		assert.equal(422, post("/msg/", with(make("busy@example.com", "--rate", "1"))).status);
	end);

	it("are invalid after they expire: 401, also on an open connection", function ()
		local token, id = make("me@example.com", "--expires", "2s");
		local function post_again() return remember(world.http(request("/msg/swallow@echo.example.com", with(token)), 1, "open")).status; end
		assert.equal(201, post_again());
		wire.await("the end of the token", function () return post_again() == 401; end);
		world.hang_up("open");
		assert.is_nil((ctl("list", "me@example.com")):find(id, 1, true));
		for path, text in pairs(stored()) do assert.is_nil(text:find(id, 1, true), path); end
	end);

	it("are invalid after they expire even if they are cached for long", function ()
		local token = make("me@long.example", "--expires", "2s");
		local function post_again() return post("/msg/swallow@echo.example.com", with(token), nil, { ["Host"] = "long.example" }).status; end
		assert.equal(201, post_again());
		wire.await("the end of the token", function () return post_again() == 401; end);
	end);

	it("are invalid within the recheck interval after prosodyctl revokes them, and at once after a client does", function ()
		local token, id = make("me@example.com");
		local function post_again() return remember(world.http(request("/msg/swallow@echo.example.com", with(token)), 1, "open")).status; end
		assert.equal(201, post_again());
		local _, err, status = ctl("revoke", id);
		assert.equal(0, status);
		assert.is_truthy(err:find(id, 1, true));
		local revoked = socket.gettime();
		repeat
			local start_time = socket.gettime();
			local answered = post_again();
			assert.is_true(answered == 401 or start_time < revoked + recheck, "answered " .. answered);
		until answered == 401;
		_, err, status = ctl("revoke", id);
		assert.is_true(status ~= 0 and err:find("no token", 1, true) ~= nil);

		token, id = make("me@example.com");
		assert.equal(201, post_again());
		local answer = world.command("me@example.com", "post_msg#token-revoke", { id = id });
		assert.equal(id, answer.values.id);
		assert.equal(401, post_again());
		world.hang_up("open");
	end);

	it("end with their account, even if an account of the same name is created again", function ()
		local token, id = make("gone@example.com");
		local function post_again() return post("/msg/swallow@echo.example.com", with(token)).status; end
		assert.equal(201, post_again());
		usermanager("delete_user('gone', 'example.com')");
		assert.equal(401, post_again());
		usermanager("create_user('gone', 'pw-of-gone', 'example.com')");
		assert.equal(401, post_again());
		assert.equal("", (ctl("list", "gone@example.com")):match("%f[^\n%z]" .. id .. "[^\n]*") or "");

		token = make("beside@example.com");
		assert.equal(201, post_again());
		world.prosodyctl({ "deluser", "beside@example.com" });
		usermanager("create_user('beside', 'pw-of-beside', 'example.com')");
		wire.await("the end of the token", function () return post_again() == 401; end);
	end);

	it("of a disabled account are invalid at once, until it is enabled (Prosody 13)", function ()
		if not is_13() then return; end
		local token = make("off@example.com");
		local function post_again() return post("/msg/swallow@echo.example.com", with(token)).status; end
		assert.equal(201, post_again());
		usermanager("disable_user('off', 'example.com')");
		assert.equal(401, post_again());
		usermanager("enable_user('off', 'example.com')");
		assert.equal(201, post_again());
	end);

	it("that are wrong are throttled by client address, and valid tokens are not", function ()
		local token, unused = make("me@limit.example"), make("me@limit.example");
		local revoked, id = make("me@limit.example");
		local function from(client, credentials, path)
			return post(path or "/msg/swallow@echo.example.com", credentials, nil, { ["Host"] = "limit.example", ["X-Forwarded-For"] = client });
		end
		local function assert_throttled(client, credentials, path)
			for _ = 1, 3 do assert.equal(401, from(client, credentials, path).status); end
			local answer = from(client, credentials, path);
			assert.equal(429, answer.status);
			assert.is_truthy(tonumber(answer.headers["retry-after"]));
		end
		assert.equal(201, from("192.0.2.1", with(token)).status);
		ctl("revoke", id);
		local mark = world.log_mark();
		-- A token in the right form, with an existing id and another hash.
		world.lua(([[local store = require "core.storagemanager".open("limit.example", "post_msg_tokens");
			local id = %q; local entry = store:get(id); entry.hash = ("0"):rep(64); store:set(id, entry); return true]]):format(
			unused:match("_(%x+)_")));
		assert_throttled("192.0.2.1", with(unused));
		assert.is_truthy(world.log(mark):find(
			"Failed authentication attempt (not-authorized) for user me@limit.example from IP: 192.0.2.1", 1, true));
		assert.equal(201, from("192.0.2.1", with(token)).status);
		assert.equal(401, from("192.0.2.2", with(unused)).status);
		assert.equal(429, from("192.0.2.1", with(revoked)).status);
		assert_throttled("192.0.2.5", with(revoked));
		assert.is_truthy(world.log(mark):find("for user token:" .. id .. " from IP: 192.0.2.5", 1, true));
		assert_throttled("192.0.2.6", with(token:sub(1, -2) .. (token:sub(-1) == "x" and "y" or "x")));
		assert_throttled("192.0.2.3", nil, "/msg/swallow@echo.example.com?token=pmsg_x");
		assert_throttled("192.0.2.4", basic("me", unused));
		assert.equal(201, from("192.0.2.4", with(token)).status);
	end);

	it("that are invented are throttled too, for any id, and for all addresses of one network together", function ()
		local made_up = {}; -- in the right form
		for token in output_of([[python3 -c 'from base64 import *; from hashlib import *
for i in range(61):
    token = "pmsg_%016x_%027d" % (i, i)
    print(token + urlsafe_b64encode(sha256(token.encode()).digest()).decode()[:6])']]):gmatch("%S+") do
			table.insert(made_up, token);
		end
		local counts = {};
		for number = 1, 60 do
			local answer = post("/msg/swallow@echo.example.com", with(made_up[number]), nil, {
				["Host"] = "limit.example", ["X-Forwarded-For"] = ("2001:db8:7:7::%x"):format(number),
			});
			counts[answer.status] = (counts[answer.status] or 0) + 1;
		end
		assert.same({ [401] = 3, [429] = 57 }, counts);
		assert.equal(401, post("/msg/swallow@echo.example.com", with(made_up[61]), nil, {
			["Host"] = "limit.example", ["X-Forwarded-For"] = "2001:db8:7:8::1",
		}).status);
	end);

	it("that are cached need no lookup in the store", function ()
		local token = make("me@long.example");
		local function post_again() return post("/msg/swallow@echo.example.com", with(token), nil, { ["Host"] = "long.example" }).status; end
		assert.equal(201, post_again());
		local reads = [[local storage = require "core.storagemanager"; local store = storage.open("long.example", "post_msg_tokens");
			local class = getmetatable(store).__index; ]];
		world.lua(reads .. [[prosody.spec_get = class.get; prosody.spec_reads = 0;
			class.get = function (self, name)
				if self.store:find("^post_msg") then prosody.spec_reads = prosody.spec_reads + 1; end
				return prosody.spec_get(self, name);
			end;
			return true]]);
		for _ = 1, 20 do assert.equal(201, post_again()); end
		assert.equal(0, world.lua(reads .. "class.get = prosody.spec_get; return prosody.spec_reads"));
	end);

	it("can be the only accepted credentials, or not be accepted", function ()
		local token = make("me@only.example");
		local function as(credentials, its_host)
			return post("/msg/swallow@echo.example.com", credentials, nil, { ["Host"] = its_host });
		end
		assert.equal(201, as(with(token), "only.example").status);
		assert.equal(201, as(basic("me", token), "only.example").status);
		local refused = as(basic("me", "pw-of-only"), "only.example");
		assert.equal(401, refused.status);
		assert.is_truthy(refused.headers["www-authenticate"]:find("Bearer", 1, true));
		token = make("me@none.example");
		assert.equal(401, as(with(token), "none.example").status);
		assert.equal(401, as(basic("me", token), "none.example").status);
		assert.equal(201, as(basic("me", "pw-of-none"), "none.example").status);
	end);

	it("are rejected over plain HTTP if encryption is required, in every form", function ()
		local token = make("me@https.example");
		local function from(client, path, credentials)
			return post(path, credentials, nil, { ["Host"] = "https.example", ["X-Forwarded-For"] = client }).status;
		end
		assert.equal(403, from("192.0.2.8", "/msg/swallow@echo.example.com?token=" .. token));
		assert.equal(403, from("192.0.2.8", "/msg/swallow@echo.example.com?%74oken=x"));
		assert.equal(403, from("192.0.2.8", "/msg/swallow@echo.example.com", with(token)));
		assert.equal(401, from("192.0.2.8", "/msg/swallow@echo.example.com"));
		assert.equal(201, from(nil, "/msg/swallow@echo.example.com?token=" .. token));
	end);

	describe("of prosodyctl", function ()
		it("are listed with their limits, and when they were used", function ()
			local token, id = make("other@example.com", "--to", "user@example.com", "--to", "example.com", "--as", "github", "--expires", "90d",
				"--rate", "5", "--label", "Büro & Söhne");
			local _, plain = make("other@example.com");
			local function line(its_id) return ("\n" .. ctl("list", "other@example.com")):match("\n(" .. its_id .. "[^\n]*)\n"); end
			assert.is_truthy(line(id):find("other@example.com  to user@example.com,example.com  as github  rate 5  expires 20", 1, true), line(id));
			assert.is_truthy(line(id):find("used never  label Büro & Söhne", 1, true));
			assert.is_truthy(line(plain));
			assert.equal(415, post("/msg/user", with(token)).status); -- its format is wrong, but this counts as a use
			wire.await("the time of its use", function () return line(id):find("used 20%d%d%-"); end);
			assert.is_truthy(("\n" .. ctl("list")):find("\n" .. id, 1, true));
			assert.is_nil((ctl("list", "user@example.com")):find(id, 1, true));
		end);

		it("work while the server is down", function ()
			world.kill();
			local token = make("me@example.com");
			local gone, id = make("me@example.com");
			assert.equal(0, select(3, ctl("revoke", id)));
			world.restart();
			assert.equal(201, post("/msg/swallow@echo.example.com", with(token)).status);
			assert.equal(401, post("/msg/swallow@echo.example.com", with(gone)).status);
			world.login("me@example.com", "user@example.com", "other@example.com");
		end);

		it("are not made from a wrong command line: it fails with a sentence", function ()
			for words, sentence in pairs {
				[{ "add" }] = "Say for which account"; [{ "add", "example.com" }] = "not the address of an account";
				[{ "add", "me@example.com/r" }] = "not the address of an account"; [{ "add", "nobody@example.com" }] = "There is no account";
				[{ "add", "me@nowhere.example" }] = "not a host of this server"; [{ "add", "me@rooms.example.com" }] = "not a host of this server";
				[{ "add", "me@example.com", "x" }] = "an unexpected word"; [{ "add", "me@example.com", "--too", "x" }] = "no option --too";
				[{ "add", "me@example.com", "--to" }] = "must follow --to";
				[{ "add", "me@example.com", "--to", "user@example.com/r" }] = "address without resource";
				[{ "add", "me@example.com", "--to", "@" }] = "address without resource"; [{ "add", "me@example.com", "--expires", "90" }] = "90d";
				[{ "add", "me@example.com", "--expires", "0d" }] = "90d"; [{ "add", "me@example.com", "--rate", "1.5" }] = "whole number";
				[{ "add", "me@example.com", "--rate", "0" }] = "whole number"; [{ "add", "me@example.com", "--as", "../x" }] = "letters";
				[{ "add", "me@example.com", "--label", "a\nb" }] = "one line"; [{ "add", "me@example.com", "--rate", "1", "--rate", "2" }] = "twice";
				[{ "list", "example.com" }] = "not the address of an account"; [{ "list", "me@nowhere.example" }] = "not a host";
				[{ "list", "--to", "user@example.com" }] = "no option --to"; [{ "revoke", "1", "2" }] = "an unexpected word";
				[{ "revoke" }] = "by its id"; [{ "revoke", "0123456789abcdef" }] = "no token"; [{ "revoke", "../me" }] = "no token";
				[{ "destroy" }] = "Usage"; [{}] = "Usage";
			} do
				local out, err, status = ctl(table.unpack(words));
				assert.is_true(status ~= 0, table.concat(words, " "));
				assert.is_truthy(err:find(sentence, 1, true), table.concat(words, " ") .. ": " .. err);
				assert.is_nil(out:find("pmsg_", 1, true));
				assert.is_nil(err:find("raceback", 1, true), err);
			end
			local out, _, status = ctl("add", "--help");
			assert.equal(0, status);
			assert.is_truthy(out:find("--expires", 1, true));
		end);

		it("are not made without the native half, and a sentence says this", function ()
			local library = world.plugin_file("post_msg.so");
			world.plugin_file("post_msg.so", library:sub(1, -2));
			local _, err, status = ctl("add", "me@example.com");
			world.plugin_file("post_msg.so", library);
			assert.is_true(status ~= 0);
			assert.is_truthy(err:find("is not a complete library", 1, true), err);
			assert.is_nil(err:find("raceback", 1, true), err);
		end);

		it("are limited in number for each account", function ()
			local made;
			for _ = 1, 31 do
				local out, err, status = ctl("add", "user@example.com");
				made = out:match("pmsg_[^\n]*");
				if status ~= 0 then
					assert.is_truthy(err:find("post_msg_token_limit", 1, true));
					assert.is_nil(made);
					break;
				end
				table.insert(tokens, made);
			end
			assert.is_nil(made, "the 31st of 30 was made");
			assert.equal("error", world.command("user@example.com", "post_msg#token-add", {}).notes[1][1]);
		end);
	end);

	describe("of a chat client", function ()
		local me = "other@example.com";

		it("are offered to accounts of the host, in their language", function ()
			assert.same({ "Make a sending token", "List sending tokens", "Revoke a sending token" }, (function (names)
				return { names["post_msg#token-add"], names["post_msg#token-list"], names["post_msg#token-revoke"] };
			end)(world.commands(me)));
			assert.equal("Sende-Token erstellen", world.commands(me, "de-CH")["post_msg#token-add"]);
			assert.equal("Make a sending token", world.commands(me, "fr")["post_msg#token-add"]);
			local form = world.command(me, "post_msg#token-add", nil, "de");
			assert.equal("Sende-Token erstellen", form.title);
			assert.same({ label = "text-single", to = "jid-multi", as = "text-single", days = "text-single", rate = "text-single",
				get = "boolean", replies = "boolean", nick = "text-single" }, form.types);
			assert.equal("Tage, bis es abläuft", form.labels.days);
			assert.equal("Days until it expires", world.command(me, "post_msg#token-add").labels.days);
		end);

		it("are created, used, listed and revoked", function ()
			local made = world.command(me, "post_msg#token-add", { label = "Grafana <1>", to = { "User@example.com" }, days = "90", rate = "100" });
			local token, id = made.values.token, made.values.id;
			table.insert(tokens, token);
			assert.equal(201, post("/msg/user", with(token)).status);
			assert.is_truthy(world.receive("user@example.com"):find("from='other@example.com'", 1, true));
			assert_refused(403, post("/msg/me", with(token)));
			local item;
			for _, results in ipairs(world.command(me, "post_msg#token-list").items) do
				if results.id == id then item = results; end
			end
			assert.equal("Grafana <1>", item.label);
			assert.equal("user@example.com", item.to);
			assert.equal("100", item.rate);
			for _, when in ipairs { item.made, item.used, item.expires } do assert.is_truthy(when:match("^20%d%d%-%d%d%-%d%dT.*Z$"), when); end
			local options = world.command(me, "post_msg#token-revoke").options.id;
			local offered = false;
			for _, option in ipairs(options) do offered = offered or option.value == id and option.label == "Grafana <1> (" .. id .. ")"; end
			assert.is_true(offered);
			assert.equal(id, world.command(me, "post_msg#token-revoke", { id = id }).values.id);
			assert_refused(401, post("/msg/user", with(token)));
			assert.equal("error", world.command(me, "post_msg#token-revoke", { id = id }).notes[1][1]);
		end);

		it("are not made from invalid fields", function ()
			for _, wrong in ipairs { { days = "0" }, { days = "1.5" }, { days = "x" }, { rate = "-1" }, { to = { "user@example.com/r" } },
				{ to = { "user@example.com", "@@" } }, { as = "a b" }, { as = "no-such" }, { nick = "a\nb" }, { label = ("x"):rep(201) } } do
				local answer = world.command(me, "post_msg#token-add", wrong, "de");
				assert.equal("error", answer.notes[1][1]);
				assert.is_truthy(answer.notes[1][2]:find(" ist | hat ") or answer.notes[1][2]:find("ganze Zahl", 1, true)
					or answer.notes[1][2]:find("Empfänger", 1, true) or answer.notes[1][2]:find("Zeile", 1, true)
					or answer.notes[1][2]:find("Der Name", 1, true) or answer.notes[1][2]:find("Format", 1, true), answer.notes[1][2]);
				assert.is_nil(answer.values.token);
			end
		end);

		it("of another account are not listed and not revoked", function ()
			local token, id = make("me@example.com");
			for _, item in ipairs(world.command(me, "post_msg#token-list").items) do assert.is_true(item.id ~= id); end
			assert.equal("error", world.command(me, "post_msg#token-revoke", { id = id }).notes[1][1]);
			assert.equal(201, post("/msg/swallow@echo.example.com", with(token)).status);
		end);
	end);

	it("are in no log line, no answer and no header, and the log has no error", function ()
		local log, answers = world.log(), table.concat(answer_texts, "\n");
		assert.is_truthy(log:find("\tdebug\t", 1, true));
		assert.is_true(#tokens > 20);
		for _, token in ipairs(tokens) do
			for place, where in pairs { ["the log"] = log, ["an answer"] = answers } do
				for _, secret in ipairs { token, token:match("^pmsg_%x+_(.*)$"), (mime.b64("me@example.com:" .. token)) } do
					local at = where:find(secret, 1, true);
					assert.is_nil(at, ("%s in %s: %s"):format(secret, place, at and where:sub(math.max(1, at - 80), at + 80) or ""));
				end
			end
		end
		assert.same({}, world.errors());
	end);
end);
