-- The page's files, and the requests that only its script sends (dry runs, the account's own tokens).

local json = require "dkjson";
local mime = require "mime";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local user = "user@example.com";

local function ask(method, path, headers)
	local lines = { method .. " " .. path .. " HTTP/1.1", "Host: example.com" };
	for name, value in pairs(headers or {}) do lines[#lines + 1] = name .. ": " .. value; end
	return world.http(table.concat(lines, "\r\n") .. "\r\n\r\n");
end

local in_json = { ["Content-Type"] = "application/json" };

local function post(path, body, headers)
	return world.http(world.request(path, type(body) == "table" and json.encode(body) or body, headers or in_json));
end

local function manage(given, headers)
	local answer = post("/msg/@tokens", given, headers);
	return answer.status, json.decode(answer.body), answer;
end

local function assert_nothing_sent()
	for address, messages in pairs((world.collect())) do assert.same({}, messages, address); end
end

local browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

describe("GET", function ()
	lazy_setup(function () world.start(); end);
	lazy_teardown(world.stop);

	it("of the base path returns the page to a browser, and OpenAPI to other clients", function ()
		local page = ask("GET", "/msg", { ["Accept"] = browser });
		assert.equal(200, page.status);
		assert.equal("text/html; charset=utf-8", page.headers["content-type"]);
		assert.matches("^<!doctype html>", page.body);
		assert.matches('<span id="host">example.com</span>', page.body, nil, true);
		assert.matches('src="msg/page.js"', page.body, nil, true); -- relative, so also below a proxy's own prefix
		for _, accept in ipairs { "*/*", "application/json", "text/html;q=0", "application/json, text/html;q=0.1", "" } do
			local answer = ask("GET", "/msg", { ["Accept"] = accept });
			assert.equal(200, answer.status, accept);
			assert.equal("application/json", answer.headers["content-type"]);
			assert.matches("^3%.1%.", json.decode(answer.body).openapi);
		end
		assert.equal(ask("GET", "/msg").body, ask("GET", "/msg/openapi.json", { ["Accept"] = browser }).body);
	end);

	it("returns a page with a strict content policy and without foreign addresses", function ()
		local page = ask("GET", "/msg", { ["Accept"] = browser });
		local policy = page.headers["content-security-policy"];
		assert.matches("^default%-src 'none'; script%-src 'self'; style%-src 'self'; ", policy);
		assert.is_nil(policy:find("unsafe", 1, true));
		assert.equal("nosniff", page.headers["x-content-type-options"]);
		assert.equal("no-referrer", page.headers["referrer-policy"]);
		assert.is_nil(page.headers["set-cookie"]);
		local size = 0;
		for _, path in ipairs { "/msg", "/msg/page.css", "/msg/page.js" } do
			local file = ask("GET", path, { ["Accept"] = browser });
			assert.equal(200, file.status, path);
			size = size + #file.body;
			for url in file.body:gmatch("https?://[%w.-]+") do
				assert.is_truthy(url:find("example", 1, true) or url:find("www.w3.org", 1, true), path .. " names " .. url);
			end
		end
		assert.is_true(size < 40 * 1024, size .. " bytes");
		assert.is_nil(page.body:find("<script>", 1, true));
		assert.is_nil(page.body:find(" style=", 1, true));
		assert.is_nil(page.body:find(" on%w+="));
		assert.is_nil(page.body:find("{{", 1, true));
	end);

	it("with a known entity tag returns 304", function ()
		for _, path in ipairs { "/msg", "/msg/page.css", "/msg/page.js", "/msg/openapi.json" } do
			local file = ask("GET", path, { ["Accept"] = browser });
			local etag = file.headers["etag"];
			assert.matches('^"%x+"$', etag);
			assert.equal("no-cache", file.headers["cache-control"]);
			for _, known in ipairs { etag, 'W/"x", ' .. etag, "*" } do
				local answer = ask("GET", path, { ["Accept"] = browser, ["If-None-Match"] = known });
				assert.equal(304, answer.status, path);
				assert.equal("", answer.body);
				assert.equal(etag, answer.headers["etag"]);
			end
			assert.equal(200, ask("GET", path, { ["Accept"] = browser, ["If-None-Match"] = '"other"' }).status);
		end
	end);

	it("and HEAD return the same headers", function ()
		for _, path in ipairs { "/msg", "/msg/openapi.json", "/msg/page.js" } do
			local got, head = ask("GET", path, { ["Accept"] = browser }), ask("HEAD", path, { ["Accept"] = browser });
			assert.equal(200, head.status, path);
			assert.equal("", head.body);
			for _, name in ipairs { "etag", "content-type", "content-length", "cache-control" } do
				assert.equal(got.headers[name], head.headers[name], path);
			end
		end
	end);

	it("of another path returns 405 with the allowed methods, as other methods do", function ()
		for path, allowed in pairs {
			["/msg/user"] = "OPTIONS, POST, PUT", ["/msg/page.html"] = "OPTIONS, POST, PUT",
			["/msg/@tokens"] = "OPTIONS, POST, PUT",
		} do
			for _, method in ipairs { "GET", "HEAD" } do
				local answer = ask(method, path, { ["Accept"] = browser });
				assert.equal(405, answer.status, path);
				assert.equal(allowed, answer.headers["allow"]);
			end
		end
		for _, path in ipairs { "/msg", "/msg/openapi.json" } do
			assert.equal("GET, HEAD, OPTIONS, POST, PUT", ask("PATCH", path, { ["Content-Length"] = "0" }).headers["allow"]);
			assert.equal("GET, HEAD, OPTIONS, POST, PUT", ask("OPTIONS", path).headers["allow"]);
		end
		for _, path in ipairs { "/msg/user", "/msg/@try", "/msg/@tokens" } do
			assert.equal("OPTIONS, POST, PUT", ask("OPTIONS", path).headers["allow"]);
		end
	end);

	it("lets no other origin read answers or post in a person's name", function ()
		local origin = { ["Origin"] = "https://evil.example", ["Accept"] = browser };
		for _, answer in ipairs {
			ask("GET", "/msg", origin), ask("OPTIONS", "/msg/user", origin),
			post("/msg/user", "x", { ["Origin"] = "https://evil.example", ["Content-Type"] = "text/plain" }),
		} do
			assert.is_nil(answer.headers["access-control-allow-origin"]);
		end
		-- The same with and without credentials, and without a challenge for the browser.
		for _, path in ipairs { "/msg/user", "/msg", "/msg/@try", "/msg/@tokens" } do
			for _, credentials in ipairs { false, world.basic("me@example.com"), "Bearer x", "Basic x" } do
				for _, headers in ipairs { { ["Origin"] = "https://evil.example" }, { ["Origin"] = "null" }, { ["Sec-Fetch-Site"] = "same-site" } } do
					headers["Authorization"], headers["Content-Type"] = credentials, "text/plain";
					local answer = post(path, "x", headers);
					assert.equal(403, answer.status, path);
					assert.is_nil(answer.headers["www-authenticate"]);
					assert.is_truthy(answer.body:find("post_msg_allow_origins", 1, true), answer.body);
				end
			end
		end
	end);
end);

describe("settings", function ()
	after_each(world.stop);

	local function start(lines)
		local hosts = world.defaults().hosts;
		hosts["example.com"].lines = lines;
		world.start({ hosts = hosts });
	end

	it("can switch the page off", function ()
		start("post_msg_page = false");
		local answer = ask("GET", "/msg", { ["Accept"] = browser });
		assert.equal("application/json", answer.headers["content-type"]);
		assert.equal(405, ask("GET", "/msg/page.js").status);
		assert.equal(200, ask("GET", "/msg/openapi.json").status);
	end);

	it("can name origins whose pages may post", function ()
		start('post_msg_allow_origins = { "https://app.example" }');
		local preflight = ask("OPTIONS", "/msg/user", {
			["Origin"] = "https://app.example", ["Access-Control-Request-Method"] = "POST", ["Access-Control-Request-Headers"] = "authorization",
		});
		assert.equal(200, preflight.status);
		assert.equal("https://app.example", preflight.headers["access-control-allow-origin"]);
		assert.matches("POST", preflight.headers["access-control-allow-methods"]);
		assert.matches("Authorization", preflight.headers["access-control-allow-headers"]);
		local answer = post("/msg/user", "x", { ["Origin"] = "https://app.example", ["Content-Type"] = "text/plain" });
		assert.equal(201, answer.status);
		assert.equal("https://app.example", answer.headers["access-control-allow-origin"]);
		assert.equal("Origin", answer.headers["vary"]);
		assert.equal(201, post("/msg/user", "x", {
			["Origin"] = "https://app.example", ["Sec-Fetch-Site"] = "cross-site", ["Content-Type"] = "text/plain",
		}).status);
		assert.matches("X-Request-Id", answer.headers["access-control-expose-headers"], nil, true);
		answer = post("/msg/user", "x", { ["Origin"] = "https://evil.example", ["Content-Type"] = "text/plain" });
		assert.equal(403, answer.status);
		assert.is_nil(answer.headers["access-control-allow-origin"]);
	end);

	it("can move the page to the root", function ()
		world.start({ extra = 'http_paths = { post_msg = "/" }' });
		local page = ask("GET", "/", { ["Accept"] = browser });
		assert.equal(200, page.status);
		assert.matches('src="./page.js"', page.body, nil, true);
		assert.equal(200, ask("GET", "/page.js").status);
		assert.is_table(json.decode(ask("GET", "/openapi.json").body).paths["/{recipient}"]);
		assert.equal("GET, HEAD, OPTIONS, POST, PUT", ask("PATCH", "/", { ["Content-Length"] = "0" }).headers["allow"]);
		assert.same({}, world.errors());
	end);

	it("can switch sending tokens off, and their management with them", function ()
		start('post_msg_auth_mechanisms = { "Basic" }');
		assert.equal(404, (manage { action = "list" }));
	end);

	it("can allow uploads, which a dry run does not make", function ()
		world.start({ components = 'Component "upload.example.com" "http_file_share"' });
		local function assert_no_files(body, media_type)
			local answer = post("/msg/@try?to=user", body, { ["Content-Type"] = media_type });
			assert.equal(422, answer.status, answer.body);
			assert.matches("a dry run takes no files", answer.body, nil, true);
		end
		assert_no_files("x", "image/png");
		-- A thread reads the larger one.
		for _, size in ipairs { 10, 100000 } do
			assert_no_files('--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n' .. ("x"):rep(size) .. "\r\n--b--\r\n",
				"multipart/form-data; boundary=b");
		end
	end);

	it("reject an invalid origin", function ()
		start('post_msg_allow_origins = { "app.example" }');
		assert.is_truthy(world.log():find("The setting post_msg_allow_origins is not a list of origins, such as https://example.com", 1, true));
	end);
end);

describe("a dry run", function ()
	lazy_setup(function ()
		local hosts = world.defaults().hosts;
		hosts["example.com"].lines = "post_msg_templates = 'templates'";
		world.start({ hosts = hosts, files = { ["templates/quiet.j2"] = "{# nothing #}" } });
		world.login(user);
	end);
	lazy_teardown(function ()
		assert.same({}, world.errors());
		world.stop();
	end);
	after_each(assert_nothing_sent);

	it("shows the messages without sending them", function ()
		local answer = post("/msg/@try?to=user", { body = "a < b" });
		assert.equal(200, answer.status, answer.body);
		assert.equal("no-store", answer.headers["cache-control"]);
		local messages = json.decode(answer.body).messages;
		assert.equal(1, #messages);
		assert.equal(user, messages[1].to);
		assert.matches("<body>a &lt; b</body>", messages[1].stanza, nil, true);
		answer = post("/msg/@try", { { to = "user", body = "1" }, { to = { "user", "other@example.com" }, body = "2" } });
		assert.equal(3, #json.decode(answer.body).messages, answer.body);
	end);

	it("of another program's payload shows what its template makes", function ()
		local answer = post("/msg/@try?to=user&as=slack", { text = "*bold*" });
		assert.matches("bold", json.decode(answer.body).messages[1].stanza);
		answer = post("/msg/@try?to=user&as=slack", { text = ("long "):rep(10000) });
		assert.equal(1, #json.decode(answer.body).messages);
	end);

	it("without a message is an empty list", function ()
		local answer = post("/msg/@try?to=user&as=quiet", "{}");
		assert.equal(200, answer.status, answer.body);
		assert.equal('{"messages":[]}', answer.body);
	end);

	it("reports problems like a request that sends", function ()
		for body, status in pairs { ["{"] = 400, ["{}"] = 422, ['{"body":"x","type":"loud"}'] = 422 } do
			local answer = post("/msg/@try?to=user", body);
			assert.equal(status, answer.status);
			assert.is_number(json.decode(answer.body).status);
		end
		assert.equal(422, post("/msg/@try", { body = "to whom?" }).status);
		assert.equal(401, post("/msg/@try?to=user", { body = "x" }, { ["Content-Type"] = "application/json", ["Authorization"] = false }).status);
	end);

	it("shows the beginning of a long result", function ()
		local to = {};
		for index = 1, 99 do to[index] = ("user%d@example.com"):format(index); end
		local answer = post("/msg/@try", { { to = to, body = "x" }, { to = to, body = "y" } });
		local members = json.decode(answer.body);
		assert.equal(200, answer.status);
		assert.equal(100, #members.messages);
		assert.equal(98, members.more);
		answer = post("/msg/@try", { to = to, body = ("x"):rep(40000) });
		assert.is_true(#answer.body < 100000, #answer.body);
		members = json.decode(answer.body);
		assert.equal(99, #members.messages + members.more);
	end);

	it("is handled once, even if the client has disconnected", function ()
		for number = 1, 10 do
			local id = "gone-" .. number;
			wire.send(world.request("/msg/@try?to=user", json.encode { body = ("\n"):rep(190000) },
				{ ["Content-Type"] = "application/json", ["X-Request-Id"] = id })):hang_up();
			wire.await("the end of the request", function () return world.log():find("Request " .. id .. ":", 1, true); end);
			assert.equal(200, post("/msg/@try?to=user", { body = "x" }).status);
			assert.equal(1, select(2, world.log():gsub("Request " .. id:gsub("%-", "%%-") .. "[: ]", "")));
		end
		assert.same({}, world.errors());
	end);

	-- It takes 40 ms for a megabyte.
	it("passes no long text to util.json", function ()
		world.lua [[
			local json = require "util.json";
			json.spec_encode, json.spec_longest = json.encode, 0;
			function json.encode(...)
				local text = json.spec_encode(...);
				json.spec_longest = math.max(json.spec_longest, #text);
				return text;
			end]];
		local answer = post("/msg/@try?to=user", { body = ("\n"):rep(190000) });
		local longest = world.lua 'local json = require "util.json"; json.encode = json.spec_encode; return json.spec_longest';
		assert.equal(200, answer.status);
		assert.matches(("\n"):rep(190000), json.decode(answer.body).messages[1].stanza, nil, true);
		assert.is_true(longest < 1000, longest .. " bytes");
	end);

	it("stores no key, and counts against no limit", function ()
		local headers = { ["Content-Type"] = "application/json", ["Idempotency-Key"] = "try-1" };
		assert.equal(200, post("/msg/@try?to=user", { body = "x" }, headers).status);
		assert.equal(201, post("/msg?to=user", { body = "y" }, headers).status);
		assert.matches("<body>y</body>", world.receive(user), nil, true);
	end);
end);

describe("an account's own tokens", function ()
	lazy_setup(function ()
		world.start();
		world.login(user);
	end);
	lazy_teardown(function ()
		assert.same({}, world.errors());
		world.stop();
	end);

	it("are made, listed, used and revoked", function ()
		local status, found = manage { action = "list" };
		assert.equal(200, status);
		assert.same({}, found.tokens);
		local made;
		status, made = manage { action = "add", label = "The page", to = { "user@example.com" }, as = "", days = "30", rate = "20" };
		assert.equal(201, status);
		assert.matches("^pmsg_" .. made.id .. "_", made.token);
		status, found = manage { action = "list" };
		assert.equal(200, status);
		local token = found.tokens[1];
		assert.equal(made.id, token.id);
		assert.equal("The page", token.label);
		assert.same({ "user@example.com" }, token.to);
		assert.equal(20, token.rate);
		assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", token.expires);
		assert.is_nil(token.as);
		assert.is_nil(json.encode(found):find(made.token, 1, true));
		local bearer = { ["Content-Type"] = "text/plain", ["Authorization"] = "Bearer " .. made.token };
		assert.equal(201, post("/msg/user", "by token", bearer).status);
		assert.matches("by token", world.receive(user));
		assert.equal(200, (manage { action = "revoke", id = made.id }));
		assert.equal(401, post("/msg/user", "by token", bearer).status);
		assert.equal(404, (manage { action = "revoke", id = made.id }));
	end);

	it("belong to one account", function ()
		local _, made = manage { action = "add" };
		local other = { ["Content-Type"] = "application/json", ["Authorization"] = world.basic("other@example.com") };
		local _, found = manage({ action = "list" }, other);
		assert.same({}, found.tokens);
		assert.equal(404, (manage({ action = "revoke", id = made.id }, other)));
		local carol = { ["Content-Type"] = "application/json", ["Authorization"] = "Basic " .. (mime.b64("carol@second.example:p4ss-of-cärol")) };
		assert.equal(403, (manage({ action = "list" }, carol)));
		assert.equal(401, (manage({ action = "list" }, { ["Content-Type"] = "application/json", ["Authorization"] = false })));
		assert.equal(200, (manage { action = "revoke", id = made.id }));
	end);

	it("cannot be managed with a token that may only send", function ()
		local _, made = manage { action = "add" };
		local status, problem = manage({ action = "list" }, { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. made.token });
		assert.equal(403, status);
		assert.matches("can only send", problem.detail);
		manage { action = "revoke", id = made.id };
	end);

	it("are rejected with the name of the wrong field", function ()
		for field, given in pairs {
			to = { action = "add", to = { "user@example.com/desk" } }, days = { action = "add", days = "soon" },
			rate = { action = "add", rate = "0" }, as = { action = "add", as = "a b" }, label = { action = "add", label = ("x"):rep(300) },
			action = { action = "rename" },
		} do
			local status, problem = manage(given);
			assert.equal(422, status, field);
			assert.equal(field, problem.field);
		end
		for field, member in pairs {
			days = "true", rate = "[1]", to = '"user@example.com"', as = '["slack"]', label = "7", expires = '"2030-01-01"',
		} do
			local status, problem = manage(('{"action":"add","%s":%s}'):format(field, member));
			assert.equal(422, status, field);
			assert.equal(field, problem.field);
		end
		for _, to in ipairs { "[{}]", '[""]', '{"a":"user@example.com"}', '["user@example.com",7]', "7" } do
			local status, problem = manage('{"action":"add","to":' .. to .. "}");
			assert.equal(422, status, to);
			assert.equal("to", problem.field);
		end
		for _, body in ipairs { "", "{", "[]", "7", '"add"', '{"action":{}}', ("["):rep(60000), "[" .. ("1,"):rep(30000) .. "1]" } do
			assert.equal(422, (manage(body)));
		end
		assert.same({}, select(2, manage { action = "list" }).tokens);
	end);

	it("accept numbers as texts or as numbers", function ()
		local status, made = manage { action = "add", days = 30, rate = 20 };
		assert.equal(201, status);
		assert.equal(20, select(2, manage { action = "list" }).tokens[1].rate);
		assert.equal(200, (manage { action = "revoke", id = made.id }));
		for _, days in ipairs { 0, 0.5, -1, 1e300 } do assert.equal(422, (manage { action = "add", days = days })); end
	end);

	it("are managed by small JSON requests only, which no form of another page can post", function ()
		for media_type, status in pairs { ["text/plain"] = 415, ["application/jsonp"] = 415, ["Application/JSON; charset=utf-8"] = 200 } do
			assert.equal(status, (manage({ action = "list" }, { ["Content-Type"] = media_type })), media_type);
		end
		assert.equal(415, (manage({ action = "list" }, { ["Content-Type"] = "application/json", ["Content-Encoding"] = "gzip" })));
		assert.equal(413, (manage(("["):rep(1000000))));
	end);
end);
