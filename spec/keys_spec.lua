-- Idempotency keys: requests that differ, answers that are kept, and the owners of keys.

local json = require "dkjson";
local lfs = require "lfs";
local mime = require "mime";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local user = "user@example.com";

local function post(path, body, headers)
	local answer = world.http(world.request(path, body, headers));
	return answer.status, answer.body, answer;
end

local function assert_nothing_sent()
	for address, messages in pairs((world.collect())) do assert.same({}, messages, address); end
end

-- The sizes of the files with the entries of keys.
local function kept()
	local folder, sizes = world.server.dir .. "/data/example%2ecom/post_msg_keys", {};
	for name in lfs.dir(folder) do
		if name:find("^%d+%%2d%x+%%2d%x+%.dat$") then sizes[#sizes + 1] = lfs.attributes(folder .. "/" .. name, "size"); end
	end
	return sizes;
end

describe("an idempotency key", function ()
	lazy_setup(function ()
		local hosts = world.defaults().hosts;
		hosts["example.com"].accounts.gone = "pw-of-gone";
		hosts["second.example"].accounts.gone = "pw-of-gone";
		world.start({
			hosts = hosts;
			files = {
				["templates/trace.j2"] = "{{ headers.x_trace }} {{ text }}";
				["templates/any.j2"] = "{% for name in headers %}{% if name == 'x-trace' %}{{ headers[name] }}{% endif %}{% endfor %} {{ text }}";
			};
			extra = "post_msg_templates = 'templates'";
		});
		world.login(user);
	end);
	lazy_teardown(function ()
		assert.same({}, world.errors());
		world.stop();
	end);

	it("counts as used for another request if a header that the template reads differs, and as the same if another header differs", function ()
		local count = 0;
		local function send(key, format, headers)
			local all = { ["Content-Type"] = "application/json", ["Idempotency-Key"] = key };
			for name, value in pairs(headers) do all[name] = value; end
			count = count + 1;
			all["X-Forwarded-For"], all["Date"], all["traceparent"] = "192.0.2." .. count, "Sat, 28 Nov 2026 00:00:" .. count, "00-" .. count;
			return (post("/msg/user?as=" .. format, '{"text":"x","zen":"Keep it simple","repository":{"full_name":"a/b"}}', all));
		end
		assert.equal(200, send("event", "github", { ["X-GitHub-Event"] = "ping" }));
		assert.matches("PING", world.receive(user));
		assert.equal(200, send("event", "github", { ["X-GitHub-Event"] = "ping" }));
		assert.equal(422, send("event", "github", { ["X-GitHub-Event"] = "push" }));
		assert.equal(422, send("event", "github", {}));
		assert.equal(200, send("trace", "trace", { ["X-Trace"] = "1" }));
		assert.matches("1 x", world.receive(user));
		assert.equal(200, send("trace", "trace", { ["X-Trace"] = "1", ["X-Other"] = "2" }));
		assert.equal(422, send("trace", "trace", { ["X-Trace"] = "2" }));
		assert.equal(200, send("slack", "slack", { ["X-Trace"] = "1" }));
		world.receive(user);
		assert.equal(200, send("slack", "slack", { ["X-Trace"] = "2" }));
		local same = { ["Content-Type"] = "application/json", ["Idempotency-Key"] = "any", ["X-Trace"] = "1" };
		assert.equal(200, (post("/msg/user?as=any", '{"text":"x"}', same)));
		assert.matches("1 x", world.receive(user));
		assert.equal(200, (post("/msg/user?as=any", '{"text":"x"}', same)));
		same["X-Trace"] = "2";
		assert.equal(422, (post("/msg/user?as=any", '{"text":"x"}', same)));
		world.collect();
	end);

	it("keeps the status of a large answer, and a sentence in the requested media type", function ()
		local to = {};
		for index = 1, 1000 do to[index] = ('{"to":"swallow%d@echo.example.com","body":"x"}'):format(index); end
		local batch = "[" .. table.concat(to, ",") .. "]";
		local mixed = batch:sub(1, -2) .. ',{"to":"bounce.forbidden@echo.example.com","body":"x"}]';
		local function post_again(key, body, accept)
			local headers = { ["Content-Type"] = "application/json", ["Idempotency-Key"] = key, ["Accept"] = accept };
			local first = { post("/msg", body, headers) };
			local second = { post("/msg", body, headers) };
			assert.equal(first[1], second[1]);
			return first, second;
		end
		local first, second = post_again("json", batch, "application/json");
		assert.equal(201, first[1]);
		assert.equal(1000, #json.decode(first[2]));
		assert.equal("application/json", second[3].headers["content-type"]);
		assert.matches("too large to be kept", json.decode(second[2]).detail);
		first, second = post_again("mixed", mixed, "text/plain");
		assert.equal(207, first[1]);
		assert.is_true(#first[2] > 16384);
		assert.matches("^text/plain", second[3].headers["content-type"]);
		assert.matches("^the first answer to this Idempotency%-Key was too large to be kept[^\n]*\n$", second[2]);
		first, second = post_again("small", '[{"to":"swallow@echo.example.com","body":"x"}]', "application/json");
		assert.equal(first[2], second[2]);
		for _, size in ipairs(kept()) do assert.is_true(size < 20000, size .. " bytes"); end
	end);

	it("of a deleted account is not valid for a new account of the same name, and is deleted from the store", function ()
		for _, host in ipairs { "example.com", "second.example" } do
			local usermanager = [[local users = require "core.usermanager"; return (assert(users.%s))]];
			local headers = { ["Authorization"] = "Basic " .. mime.b64("gone@" .. host .. ":pw-of-gone"), ["Idempotency-Key"] = "mine" };
			local baseline = #kept();
			assert.equal(201, (post("/msg/user", "secret of the first", headers)));
			world.receive(user);
			assert.equal(baseline + 1, #kept());
			assert.equal(201, (post("/msg/user", "secret of the first", headers)));
			assert_nothing_sent();
			world.lua(usermanager:format(("delete_user('gone', %q)"):format(host)));
			wire.await("the end of the entries", function () return #kept() == baseline; end);
			world.lua(usermanager:format(("create_user('gone', 'pw-of-gone', %q)"):format(host)));
			assert.equal(201, (post("/msg/user", "of the second", headers)));
			assert.matches("of the second", world.receive(user));

			-- prosodyctl deletes the account, so the server gets no event.
			headers["Idempotency-Key"] = "beside";
			assert.equal(201, (post("/msg/user", "secret of the second", headers)));
			world.receive(user);
			world.prosodyctl { "deluser", "gone@" .. host };
			world.lua(usermanager:format(("create_user('gone', 'pw-of-gone', %q)"):format(host)));
			wire.await("the end of the key", function ()
				return post("/msg/user", "of the third", headers) == 201;
			end);
			assert.matches("of the third", world.receive(user));
		end
	end);

	it("is refused if too many keys of the account are kept, without a time to try again", function ()
		local text = world.plugin_file("key_store.lib.lua");
		world.plugin_file("key_store.lib.lua", (text:gsub("max_keys = 100000", "max_keys = 1")));
		assert(world.module("reload"));
		local headers = { ["Authorization"] = world.basic("other@example.com") };
		local function send(key)
			headers["Idempotency-Key"] = key;
			return world.http(world.request("/msg/swallow@echo.example.com", "x", headers));
		end
		assert.equal(201, send("first").status);
		local refused = send("second");
		world.plugin_file("key_store.lib.lua", text);
		assert(world.module("reload"));
		assert.equal(503, refused.status);
		assert.is_nil(refused.headers["retry-after"]);
		assert.equal(201, send("second").status);
	end);

	it("lets a hundred requests of an account wait after their clients have disconnected, and ends the wait of others", function ()
		local function headers(number)
			return { ["Idempotency-Key"] = "gone-" .. number, ["Prefer"] = "wait=60" };
		end
		local function waiting()
			return world.lua("return module:shared('/example.com/post_msg/state').waiting_requests()");
		end
		local sent, path = {}, "/msg/swallow@echo.example.com";
		for number = 1, 110 do sent[number] = wire.send(world.request(path, "x", headers(number))); end
		wire.await("waiting requests", function () return waiting() == 110; end);
		for number = 1, 110 do sent[number]:hang_up(); end
		wire.await("the end of ten requests", function () return waiting() == 100; end);
		local counts = {};
		for number = 1, 110 do
			local status = post(path, "x", headers(number));
			counts[status] = (counts[status] or 0) + 1;
		end
		assert.same({ [202] = 10, [409] = 100 }, counts);
		assert(world.module("reload")); -- this ends the others
	end);

	it("is known after a reload and a restart", function ()
		local headers = { ["Idempotency-Key"] = "stays" };
		assert.equal(201, (post("/msg/user", "once", headers)));
		world.receive(user);
		assert(world.module("reload"));
		assert.equal(201, (post("/msg/user", "once", headers)));
		world.restart();
		world.login(user);
		assert.equal(201, (post("/msg/user", "once", headers)));
		assert_nothing_sent();
	end);
end);
