-- Credentials, end to end: passwords that change during requests, failed attempts, tokens, permissions. No secret is logged.

local mime = require "mime";
local socket = require "socket";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local recheck = 1; -- seconds: post_msg_credential_recheck of the hosts here
local slow = 150000; -- rounds: some 50 ms for a password
local allowed = 3; -- failed attempts: post_msg_auth_failures of limit.example

local quick = "post_msg_credential_recheck = " .. recheck .. "; post_msg_auth_failures = 100000";

-- Secrets that may appear nowhere (right and wrong passwords, tokens, values of Authorization), and all texts that were written.
local secrets, told = {}, {};

local function secret(text)
	secrets[text] = true;
	return text;
end

local function basic(address, password)
	secret(password);
	return "Basic " .. secret((mime.b64(address .. ":" .. password)));
end

local function bearer(token)
	return "Bearer " .. secret(token);
end

local function request(credentials, headers, path)
	local all = { ["Authorization"] = credentials, ["Host"] = "example.com" };
	for name, value in pairs(headers or {}) do all[name] = value; end
	return world.request(path or "/msg/swallow@echo.example.com", "hello", all);
end

local function remember(answer)
	table.insert(told, answer.body);
	for name, value in pairs(answer.headers) do table.insert(told, name .. ": " .. value); end
	return answer;
end

local function post(...)
	return remember(world.http(request(...)));
end

local function account(name, host)
	local address = name .. "@" .. (host or "example.com");
	return address, secret("pw-of-" .. name .. "-8Zr");
end

local function accounts(host, ...)
	local results = {};
	for _, name in ipairs { ... } do
		local _, password = account(name, host);
		results[name] = password;
	end
	return results;
end

-- Changes of accounts, by the running server and by prosodyctl.

local function usermanager(call)
	assert(world.lua("local user = require 'core.usermanager'; return (assert(user." .. call .. "))") ~= nil);
end

local function is_13()
	return not world.server.version:match("^0%.");
end

local counter = 0;
local function new_password()
	counter = counter + 1;
	return secret("brand-new-" .. counter .. "-5Kw");
end

-- Sends requests with a password before, during and after a change. `strict` seconds after the change, none may be accepted.
local function assert_ends(address, password, strict, change)
	local credentials = basic(address, password);
	local host = address:match("@(.*)$");
	world.flow(request(credentials, { ["Host"] = host }), 1);
	world.flow_on(20);
	change();
	local changed = socket.gettime();
	local status;
	repeat
		local began = socket.gettime();
		status = post(credentials, { ["Host"] = host }).status;
		if status == 201 then
			assert.is_true(began < changed + strict, ("201 to what was sent %.3f s after the change"):format(began - changed));
		end
	until status ~= 201;
	assert.equal(401, status);
	world.flow_on(10);
	local answers = world.flow_stop();
	local last_passed, first_refused = 0, math.huge;
	for status_of, numbers in pairs(answers) do
		assert(status_of == "201" or status_of == "401", "answered " .. status_of);
		for _, number in ipairs(numbers) do
			if status_of == "201" then last_passed = math.max(last_passed, number); end
			if status_of == "401" then first_refused = math.min(first_refused, number); end
		end
	end
	assert.is_true(last_passed > 0 and first_refused < math.huge, "201, and then 401");
	assert.is_true(last_passed < first_refused, "201 after a 401");
	assert.equal(401, post(credentials, { ["Host"] = host }).status);
end

local hosts = {
	["example.com"] = {
		modules = { "post_msg", "tokenauth" };
		lines = quick;
		accounts = accounts("example.com", "changed", "deleted", "disabled", "beside", "removed", "marked", "renewed", "many", "role",
			"token", "mixed", "back", "resource");
	};
	["second.example"] = { modules = { "post_msg", "tokenauth" }; accounts = accounts("second.example", "second") };
	["limit.example"] = { lines = "post_msg_auth_failures = " .. allowed; accounts = accounts("limit.example", "owner", "fresh", "calm", "plain") };
	["plain.example"] = { lines = "authentication = 'internal_plain'; " .. quick; accounts = accounts("plain.example", "changed", "deleted", "beside") };
	["test.example"] = {
		lines = "authentication = 'spec_test_only'; " .. quick;
		accounts = accounts("test.example", "changed", "deleted", "beside", "counted");
	};
	["always.example"] = {
		lines = "authentication = 'spec_test_only'; post_msg_auth_failures = 100000; post_msg_credential_recheck = 0";
		accounts = accounts("always.example", "counted", "beside");
	};
	["slow.example"] = {
		modules = { "post_msg", "http_openmetrics" };
		lines = "default_iteration_count = " .. slow; accounts = accounts("slow.example", "many", "owner", "off");
	};
	["access.example"] = {
		lines = "post_msg_access = { 'allowed@access.example', 'second.example' }";
		accounts = accounts("access.example", "allowed", "stranger");
	};
	["https.example"] = { lines = "post_msg_require_encryption = true"; accounts = accounts("https.example", "me") };
	["basic.example"] = {
		modules = { "post_msg", "tokenauth" };
		lines = "post_msg_auth_mechanisms = { 'Basic' }";
		accounts = accounts("basic.example", "me");
	};
	["bearer.example"] = {
		modules = { "post_msg", "tokenauth" };
		lines = "post_msg_auth_mechanisms = { 'Bearer' }";
		accounts = accounts("bearer.example", "me");
	};
};

teardown(world.stop);

describe("credentials", function ()
	lazy_setup(function ()
		world.start({ hosts = hosts, extra = 'statistics = "internal"\nstatistics_interval = "manual"\n' });
	end);

	describe("after a change of the account", function ()
		for _, host in ipairs { "example.com", "plain.example", "test.example" } do
			it("end at once if the running server changes the password (" .. host .. ")", function ()
				local address, old = account("changed", host);
				local new = new_password();
				assert_ends(address, old, 0, function ()
					usermanager(("set_password('changed', %q, %q, nil)"):format(new, host));
				end);
				assert.equal(201, post(basic(address, new), { ["Host"] = host }).status);
			end);

			it("end at once if the running server deletes the account (" .. host .. ")", function ()
				local address, password = account("deleted", host);
				assert_ends(address, password, 0, function ()
					usermanager(("delete_user('deleted', %q)"):format(host));
				end);
			end);
		end

		for _, host in ipairs { "example.com", "plain.example" } do
			it("end within the interval if prosodyctl passwd changes the password (" .. host .. ")", function ()
				local address, old = account("beside", host);
				local new = new_password();
				local again = new_password();
				assert_ends(address, old, recheck, function ()
					world.prosodyctl({ "passwd", address }, new .. "\n" .. new .. "\n");
					assert.equal(201, post(basic(address, new), { ["Host"] = host }).status);
				end);
				-- And the opposite: the right password is wrong now, and the wrong one is right.
				assert_ends(address, new, recheck, function ()
					world.prosodyctl({ "passwd", address }, again .. "\n" .. again .. "\n");
					assert.equal(201, post(basic(address, again), { ["Host"] = host }).status);
				end);
			end);
		end

		it("end within the interval if prosodyctl deluser deletes the account", function ()
			local address, password = account("removed");
			assert_ends(address, password, recheck, function ()
				world.prosodyctl({ "deluser", address });
			end);
		end);

		it("end within the interval with a backend without stored credentials", function ()
			local address, old = account("beside", "test.example");
			local new = new_password();
			assert_ends(address, old, recheck, function ()
				world.lua(("prosody.hosts['test.example'].users.passwords.beside = %q"):format(new));
				assert.equal(201, post(basic(address, new), { ["Host"] = "test.example" }).status);
			end);
		end);

		it("are rejected and accepted at once if the running server disables and enables the account", function ()
			if not is_13() then return; end -- Prosody 0.12 cannot
			local address, password = account("disabled");
			for _ = 1, 2 do
				assert_ends(address, password, 0, function () usermanager("disable_user('disabled', 'example.com')"); end);
				usermanager("enable_user('disabled', 'example.com')");
				assert.equal(201, post(basic(address, password)).status);
			end
		end);

		it("end within the interval if the account is disabled in the storage", function ()
			if not is_13() then return; end
			local address, password = account("marked");
			assert_ends(address, password, recheck, function ()
				world.lua([[
					local store = require "core.storagemanager".open("example.com", "accounts");
					local account = store:get("marked");
					account.disabled = true;
					assert(store:set("marked", account));
				]]);
			end);
		end);

		it("stay invalid if the account is deleted and created again with another password", function ()
			local address, old = account("renewed");
			local new = new_password();
			assert_ends(address, old, 0, function ()
				usermanager("delete_user('renewed', 'example.com')");
				usermanager(("create_user('renewed', %q, 'example.com')"):format(new));
			end);
			assert.equal(201, post(basic(address, new)).status);
		end);

		it("work at once if the account gets its old password back", function ()
			local address, old = account("back");
			assert.equal(201, post(basic(address, old)).status);
			usermanager(("set_password('back', %q, 'example.com', nil)"):format(new_password()));
			assert.equal(401, post(basic(address, old)).status);
			usermanager(("set_password('back', %q, 'example.com', nil)"):format(old));
			assert.equal(201, post(basic(address, old)).status);
		end);

		it("end at once with a resource too", function ()
			local address, old = account("resource");
			assert.equal(201, post(basic(address .. "/cron", old)).status);
			assert.equal(201, post(basic(address, old)).status);
			usermanager(("set_password('resource', %q, 'example.com', nil)"):format(new_password()));
			assert.equal(401, post(basic(address .. "/cron", old)).status);
			assert.equal(401, post(basic(address, old)).status);
		end);
	end);

	it("are verified by a backend at most once in each interval", function ()
		local address, password = account("counted", "test.example");
		local function tests()
			return world.lua("return prosody.hosts['test.example'].users.tests");
		end
		local baseline, began = tests(), socket.gettime();
		for _ = 1, 50 do assert.equal(201, post(basic(address, password), { ["Host"] = "test.example" }).status); end
		local maximum = 1 + math.ceil((socket.gettime() - began) / recheck);
		local asked = tests() - baseline;
		assert.is_true(asked >= 1 and asked <= maximum, ("asked %d times, at most %d expected"):format(asked, maximum));
	end);

	it("are verified each time with an interval of 0", function ()
		local host = { ["Host"] = "always.example" };
		local address, password = account("counted", "always.example");
		local baseline = world.lua("return prosody.hosts['always.example'].users.tests");
		for _ = 1, 10 do assert.equal(201, post(basic(address, password), host).status); end
		assert.equal(10, world.lua("return prosody.hosts['always.example'].users.tests") - baseline);
		local other, old = account("beside", "always.example");
		assert_ends(other, old, 0, function ()
			world.lua(("prosody.hosts['always.example'].users.passwords.beside = %q"):format(new_password()));
		end);
	end);

	it("in a hundred first requests at once are all accepted, and are derived once", function ()
		-- More than the queue holds: all are accepted only if they share a derivation.
		local address, password = account("many", "slow.example");
		local all = {};
		for i = 1, 100 do all[i] = request(basic(address, password), { ["Host"] = "slow.example" }); end
		for _, answer in ipairs(wire.answers(wire.send_all(all))) do assert.equal(201, remember(answer).status); end
	end);

	it("in sixty-four first requests at once are all accepted", function ()
		local address, password = account("many");
		local all = {};
		for i = 1, 64 do all[i] = request(basic(address, password)); end
		for _, answer in ipairs(wire.answers(wire.send_all(all))) do assert.equal(201, remember(answer).status); end
	end);

	it("that are wrong in a hundred requests at once are all rejected, and the right ones among them are accepted", function ()
		local address, password = account("mixed");
		local all = {};
		for i = 1, 100 do
			all[i] = request(basic(address, i % 10 == 0 and password or "wrong-9Hq-" .. i % 3));
		end
		for i, answer in ipairs(wire.answers(wire.send_all(all))) do
			assert.equal(i % 10 == 0 and 201 or 401, remember(answer).status);
		end
	end);

	it("of too many accounts at once get 503 with Retry-After, and an owner with a cached password is accepted", function ()
		world.lua(([[
			local store = require "core.storagemanager".open("slow.example", "accounts");
			for i = 1, 150 do
				local key = ("%%020d"):format(i);
				assert(store:set("a" .. i, { stored_key = key, server_key = key, salt = "salt" .. i, iteration_count = %d }));
			end
		]]):format(slow));
		local all = {};
		for i = 1, 150 do
			all[i] = request(basic("a" .. i .. "@slow.example", "guess-3Vm"), { ["Host"] = "slow.example" });
		end
		local open_request = wire.send_all(all);
		local counts = {};
		for _, answer in ipairs(wire.answers(open_request)) do
			remember(answer);
			counts[answer.status] = (counts[answer.status] or 0) + 1;
			if answer.status == 503 then
				assert.matches("^%d+$", answer.headers["retry-after"]);
				assert.matches("^[^\n]+\n?$", answer.body);
			else
				assert.equal(401, answer.status);
			end
		end
		assert.is_true((counts[503] or 0) > 0 and (counts[401] or 0) >= 64, ("%s times 503, %s times 401"):format(counts[503], counts[401]));
		assert.equal(201, post(basic(account("owner", "slow.example")), { ["Host"] = "slow.example" }).status);
	end);

	describe("that fail", function ()
		local function attempt(address, password, client)
			return post(basic(address, password), { ["Host"] = "limit.example", ["X-Forwarded-For"] = client });
		end

		local function lines_of(mark, address, client)
			local line = ("Failed authentication attempt (not-authorized) for user %s from IP: %s"):format(address, client);
			local count = 0;
			for results in world.log(mark):gmatch("[^\n]+") do
				if results:find("Failed authentication attempt", 1, true) then
					assert.equal(line, results:match("\tinfo\tRequest %S+ of %S+: 401, (.*)$"));
					count = count + 1;
				end
			end
			return count;
		end

		-- Fails as often as the limit permits, and then once more.
		local function attack(address, client)
			local mark = world.log_mark();
			for i = 1, allowed do
				local answer = attempt(address, "guess-" .. i .. "-4Tn", client);
				assert.equal(401, answer.status);
				assert.matches("^Basic realm=\"[^\"]+\", charset=\"UTF%-8\"", answer.headers["www-authenticate"]);
			end
			assert.equal(allowed, lines_of(mark, address, client));
			for i = 1, 5 do
				local answer = attempt(address, "guess-more-" .. i .. "-4Tn", client);
				assert.equal(429, answer.status);
				local wait = tonumber(answer.headers["retry-after"]);
				assert.is_true(wait and wait >= 1 and wait <= 60, "Retry-After: " .. tostring(answer.headers["retry-after"]));
			end
			assert.equal(allowed, lines_of(mark, address, client));
		end

		it("too often are answered 429, and each failure before that is one line in the log", function ()
			attack("fresh@limit.example", "192.0.2.1");
		end);

		it("are in the log with the client's address, for any length of the account's address", function ()
			local mark = world.log_mark();
			assert.equal(401, attempt(("u"):rep(240) .. "@" .. ("domain."):rep(34) .. "example", "guess-4Tn", "192.0.2.9").status);
			assert.matches("Failed authentication attempt %(not%-authorized%) for user u+… from IP: 192%.0%.2%.9\n", world.log(mark));
		end);

		it("are answered in the same way if the account or its host does not exist", function ()
			attack("nobody@limit.example", "192.0.2.2");
			attack("nobody@unknown.example", "192.0.2.3");
			attack("fresh@example.com", "2001:db8::3");
		end);

		it("take the same derivation if the account does not exist or is disabled", function ()
			if is_13() then usermanager("disable_user('off', 'slow.example')"); end
			local function derivations()
				local text = world.http("GET /metrics HTTP/1.1\r\nHost: slow.example\r\n\r\n").body;
				local function value(name)
					return tonumber(text:match("\nprosody_mod_post_msg__derivation_seconds_" .. name .. '{host="slow.example"} (%S+)'));
				end
				return value("count") or 0, value("sum") or 0;
			end
			local function work(address)
				local count, seconds = derivations();
				assert.equal(401, post(basic(address, "guess-7Wd"), { ["Host"] = "slow.example" }).status);
				local new_count, new_seconds = derivations();
				return new_count - count, new_seconds - seconds;
			end
			-- The shortest of three times, because the machine may have delayed each.
			local function least_work(name)
				local least = math.huge;
				for _ = 1, 3 do
					local count, seconds = work(name .. "@slow.example");
					assert.equal(1, count, name);
					least = math.min(least, seconds);
				end
				return least;
			end
			local known = least_work("many");
			for _, name in ipairs { "off", "nobody", "nobody-else" } do
				-- The rounds of a default configuration take a sixteenth of it.
				local seconds = least_work(name);
				assert.is_true(seconds > known / 4, ("%s took %.3f s, a known account %.3f s"):format(name, seconds, known));
			end
		end);

		it("do not lock out an owner whose password is cached, or an owner at another address", function ()
			local address, password = account("owner", "limit.example");
			assert.equal(201, attempt(address, password, "192.0.2.4").status);
			attack(address, "192.0.2.4");
			for _ = 1, 3 do
				assert.equal(201, attempt(address, password, "192.0.2.4").status);
				assert.equal(429, attempt(address, "guess-4Tn", "192.0.2.4").status);
				assert.equal(201, attempt(address, password, "198.51.100.1").status);
			end
			address, password = account("fresh", "limit.example");
			attack(address, "192.0.2.5");
			assert.equal(429, attempt(address, password, "192.0.2.5").status);
			assert.equal(201, attempt(address, password, "198.51.100.2").status);
		end);

		it("from many addresses lock nobody out", function ()
			local address, password = account("calm", "limit.example");
			for i = 1, 50 do assert.equal(401, attempt(address, "guess-4Tn", "203.0.113." .. i).status); end
			assert.equal(201, attempt(address, password, "198.51.100.3").status);
		end);

		it("many at once are counted as soon as they begin", function ()
			local all = {};
			for i = 1, 40 do
				all[i] = request(basic("plain@limit.example", "guess-" .. i .. "-2Lx"), {
					["Host"] = "limit.example", ["X-Forwarded-For"] = "192.0.2.6",
				});
			end
			local counts = {};
			for _, answer in ipairs(wire.answers(wire.send_all(all))) do
				counts[remember(answer).status] = (counts[answer.status] or 0) + 1;
			end
			assert.same({ [401] = allowed, [429] = 40 - allowed }, counts);
		end);

		it("are not counted for requests without credentials or with right ones", function ()
			local address, password = account("calm", "limit.example");
			for _ = 1, allowed + 2 do
				assert.equal(401, post(false, { ["Host"] = "limit.example", ["X-Forwarded-For"] = "192.0.2.7" }).status);
				assert.equal(201, attempt(address, password, "192.0.2.7").status);
			end
		end);
	end);

	describe("that are tokens", function ()
		local make = world.make_bearer;

		local function use(token, host)
			return post(bearer(token), { ["Host"] = host });
		end

		it("make no sending tokens", function ()
			local answer = world.http(world.request("/msg/@tokens", '{"action":"add"}', {
				["Authorization"] = bearer(make("token@example.com", {})), ["Content-Type"] = "application/json",
			}));
			assert.equal(403, answer.status);
			assert.matches("sign in with the password to manage tokens", answer.body, nil, true);
		end);

		it("send as their account, or its full address", function ()
			world.login("role@example.com");
			for _, address in ipairs { "token@example.com", "token@example.com/cron" } do
				local answer = post(bearer(make(address)), nil, "/msg/role");
				assert.equal(201, answer.status, answer.body);
				assert.matches(" from='" .. address .. "'", world.receive("role@example.com"), nil, true);
			end
			world.logout("role@example.com");
		end);

		it("are offered only by hosts that accept them", function ()
			assert.matches("Bearer realm=", post(false).headers["www-authenticate"], nil, true);
			assert.not_matches("Bearer", post(false, { ["Host"] = "plain.example" }).headers["www-authenticate"], nil, true);
			assert.not_matches("Bearer", post(false, { ["Host"] = "basic.example" }).headers["www-authenticate"], nil, true);
			assert.not_matches("Basic", post(false, { ["Host"] = "bearer.example" }).headers["www-authenticate"], nil, true);
			assert.equal(401, use(make("me@basic.example"), "basic.example").status);
			assert.equal(201, use(make("me@bearer.example"), "bearer.example").status);
			assert.equal(401, post(basic(account("me", "bearer.example")), { ["Host"] = "bearer.example" }).status);
			assert.equal(201, post(basic(account("me", "basic.example")), { ["Host"] = "basic.example" }).status);
		end);

		it("do not work if they are expired, revoked, changed or of another host", function ()
			assert.equal(401, use(make("token@example.com", { ttl = -5 })).status);
			local token = make("token@example.com");
			assert.equal(201, use(token).status);
			for _, place in ipairs { 20, #token - 30, #token - 4 } do
				local letter = token:sub(place, place) == "x" and "y" or "x";
				local answer = use(token:sub(1, place - 1) .. letter .. token:sub(place + 1));
				assert.equal(401, answer.status);
				assert.matches("Bearer", answer.headers["www-authenticate"], nil, true);
			end
			assert.equal(401, use(token:sub(1, -8)).status);
			assert.equal(401, use(make("second@second.example")).status);
			assert.equal(401, use(token, "second.example").status);
			assert.equal(201, use(make("second@second.example"), "second.example").status);
			world.lua(("assert(prosody.hosts['example.com'].modules.tokenauth.revoke_token(%q))"):format(token));
			assert.equal(401, use(token).status);
		end);

		it("do not work after their account was disabled or deleted, or its password was changed", function ()
			local token = make("token@example.com");
			assert.equal(201, use(token).status);
			if is_13() then
				usermanager("disable_user('token', 'example.com')");
				assert.equal(401, use(token).status);
				usermanager("enable_user('token', 'example.com')");
				local second = os.time(); -- Prosody counts seconds here
				wire.await("the next second", function () return os.time() > second; end);
				usermanager(("set_password('token', %q, 'example.com', nil)"):format(new_password()));
				assert.equal(401, use(token).status);
				token = make("token@example.com");
				assert.equal(201, use(token).status);
			end
			usermanager("delete_user('token', 'example.com')");
			assert.equal(401, use(token).status);
		end);

		it("have their own role (Prosody 13)", function ()
			if not is_13() then return; end
			assert.equal(201, use(make("role@example.com", { role = "prosody:registered" })).status);
			local answer = use(make("role@example.com", { role = "prosody:guest" }));
			assert.is_true(answer.status == 403 or answer.status == 401, "it is " .. answer.status);
		end);
	end);

	describe("that are right, but lack a permission", function ()
		it("for post_msg_access: 403", function ()
			local function as(address, password)
				return post(basic(address, password), { ["Host"] = "access.example" }).status;
			end
			for _ = 1, 2 do -- the second time, the password is remembered
				assert.equal(201, as(account("allowed", "access.example")));
				assert.equal(201, as(account("second", "second.example")));
				assert.equal(403, as(account("stranger", "access.example")));
				assert.equal(403, as(account("role", "example.com")));
			end
			local _, password = account("allowed", "access.example");
			assert.equal(201, as("allowed@access.example/cron", password));
			assert.equal(401, as("stranger@access.example", "guess-1Pd"));
		end);

		it("for a role without :post-message: 403 at once, on the account's own host only (Prosody 13)", function ()
			if not is_13() then return; end
			local address, password = account("role");
			local function as(host) return post(basic(address, password), { ["Host"] = host }).status; end
			assert.equal(201, as("example.com"));
			assert.equal(201, as("second.example"));
			usermanager("set_user_role('role', 'example.com', 'prosody:guest')");
			assert.equal(403, as("example.com"));
			assert.equal(201, as("second.example"));
			usermanager("set_user_role('role', 'example.com', 'prosody:registered')");
			assert.equal(201, as("example.com"));
			usermanager("set_user_role('role', 'example.com', 'prosody:admin')");
			assert.equal(201, as("example.com"));
		end);

		it("for post_msg_require_encryption: 403 before they are verified, except from the same machine", function ()
			local address, password = account("me", "https.example");
			local mark = world.log_mark();
			local function from(client, credentials, protocol)
				return post(credentials, { ["Host"] = "https.example", ["X-Forwarded-For"] = client, ["X-Forwarded-Proto"] = protocol }).status;
			end
			assert.equal(201, from(nil, basic(address, password)));
			assert.equal(403, from("192.0.2.8", basic(address, password)));
			assert.equal(403, from("192.0.2.8", basic(address, "guess-6Bn")));
			assert.equal(403, from("192.0.2.8", basic("nobody@nowhere.example", "guess-6Bn")));
			assert.equal(403, from("192.0.2.8", bearer("bm90LWEtdG9rZW4tYXQtYWxs")));
			assert.equal(403, from("2001:db8::8", basic(address, password)));
			assert.is_nil(world.log(mark):find("Failed authentication attempt", 1, true));
			assert.equal(201, from("192.0.2.8", basic(address, password), "https"));
			assert.equal(401, from("192.0.2.8", basic(address, "guess-6Bn"), "https"));
		end);
	end);

	it("are verified again after a restart of the module, which empties its cache", function ()
		local address, password = account("second", "second.example");
		assert.equal(201, post(basic(address, password)).status);
		assert(world.module("reload"));
		assert.equal(201, post(basic(address, password)).status);
		assert.equal(401, post(basic(address, "guess-0Fs")).status);
	end);

	it("that cannot be parsed are rejected, and never shown", function ()
		for _, value in ipairs {
			"Basic", "Basic !!!", "Basic " .. secret((mime.b64("no-colon-2Dk"))), "Bearer", bearer("b2RkLXRva2VuLTdNYw"),
			"Digest username=" .. secret("odd-5Wp"), secret("odd-6Yb"),
			"Basic " .. secret((mime.b64("role@example.com\0:odd-7Xe"))), "Basic " .. secret((mime.b64("\xff:odd-8Lt"))),
			"Negotiate " .. secret((mime.b64("odd-9Rv-negotiate"))),
		} do
			assert.equal(401, post(value).status, value);
			local json = { ["Accept"] = "application/problem+json", ["Content-Type"] = "application/json" };
			assert.equal(401, post(value, json).status, value);
		end
	end);

	it("never appear in the log, an answer or its headers, and the log has no error", function ()
		local log = world.log();
		assert.is_truthy(log:find("\tdebug\t", 1, true));
		local answers = table.concat(told, "\n");
		local output = assert(io.open(world.server.dir .. "/output", "rb")):read("*a");
		for text in pairs(secrets) do
			for place, where in pairs { ["the log"] = log, ["an answer"] = answers, ["the output"] = output } do
				local at = where:find(text, 1, true);
				assert.is_nil(at, ("%s in %s: %s"):format(text, place, at and where:sub(math.max(1, at - 80), at + 80) or ""));
			end
		end
		assert.same({}, world.errors());
	end);
end);
