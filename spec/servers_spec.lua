-- Two Prosodys, as docs/servers.md says: of two domains behind a real HAProxy, and of one domain with a real PostgreSQL.
-- One is killed while both are posted to.

local json = require "dkjson";
local database = require "spec.support.database";
local neighbours = require "spec.support.neighbours";
local programs = require "spec.support.programs";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local output_of = programs.output_of;
local here = debug.getinfo(1, "S").source:match("^@(.*)/spec/") or ".";

local page = require "pl.file".read(here .. "/docs/servers.md");
local blocks = {};
for block in page:gmatch("```haproxy\n(.-)```") do blocks[#blocks + 1] = block; end

local function try(command)
	local ok = os.execute(command);
	return ok == true or ok == 0; -- COMPAT Lua 5.1
end

local function write(path, text)
	local file = assert(io.open(path, "wb"));
	file:write(text);
	file:close();
end

local function lines_of(path)
	local found = {};
	local file = io.open(path, "r");
	if not file then return found; end
	for line in file:lines() do found[#found + 1] = line; end
	file:close();
	return found;
end

local function replaced(text, what, by)
	local from, to = text:find(what, 1, true);
	assert(from, "docs/servers.md does not have: " .. what);
	return text:sub(1, from - 1) .. by .. text:sub(to + 1);
end

local function body_of(raw) return raw:match("<body>(.-)</body>"); end

-- What a client has received: text → how often
local function received(of, address)
	local messages, trouble = of.collect();
	assert.same({}, trouble);
	local times = {};
	for _, raw in ipairs(messages[address]) do
		local body = body_of(raw);
		if body then times[body] = (times[body] or 0) + 1; end
	end
	return times;
end

-- It ends after some time, even if no test ends it.
local function start_haproxy(folder, config, port)
	local program = programs.find("haproxy");
	write(folder .. "/haproxy.cfg", config);
	os.execute(("cd '%s' && { %s timeout 600 '%s' -db -f haproxy.cfg >haproxy.log 2>&1 & echo $! >haproxy.pid; }")
		:format(folder, database.library_path, program));
	wire.await("HAProxy", function ()
		return try(("curl -s -o '%s/tried' --max-time 5 --insecure https://127.0.0.1:%d/ || curl -s -o '%s/tried' http://127.0.0.1:%d/")
			:format(folder, port, folder, port));
	end);
end

-- A script that posts its argument, a number, and writes the result into a file.
local function poster(folder, name, command)
	write(folder .. "/" .. name .. ".sh", ([[
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
cd '%s'
echo $1 >>%s.begun
status=$(%s)
echo "$1 ${status:-000}" >>%s.ended
]]):format(folder, name, command, name));
end

-- Posts these numbers, four at a time.
local function post_all(folder, name, first, last)
	os.execute(("seq %d %d | timeout 300 xargs -P 4 -n 1 sh '%s/%s.sh' >/dev/null 2>&1 & echo $! >'%s/%s.pid'")
		:format(first, last, folder, name, folder, name));
end

local function ended(folder, name)
	local found, count = {}, 0;
	for _, line in ipairs(lines_of(folder .. "/" .. name .. ".ended")) do
		local number, status = line:match("^(%d+) .*(%d%d%d)$");
		found[tonumber(number)] = status;
		count = count + 1;
	end
	return found, count;
end

-- The numbers whose requests are running.
local function under_way(folder, name)
	local done, found, count = ended(folder, name), {}, 0;
	for _, number in ipairs(lines_of(folder .. "/" .. name .. ".begun")) do
		if not done[tonumber(number)] then found[tonumber(number)] = true; count = count + 1; end
	end
	assert(count <= 4);
	return found, count;
end

-- Each number arrived once; if its request was running when the server was killed, it may have arrived twice.
local function assert_all_once(times, doubtful, count)
	for number = 1, count do
		local arrived = times["number " .. number] or 0;
		assert.is_true(arrived == 1 or arrived == 2 and doubtful[number], ("number %d arrived %d times"):format(number, arrived));
		times["number " .. number] = nil;
	end
	assert.same({}, times);
end

local function clean_up(folder, ...)
	for _, name in ipairs { ... } do
		local pid = folder .. "/" .. name .. ".pid";
		if try(("kill -0 $(cat '%s' 2>/dev/null) 2>/dev/null"):format(pid)) then programs.stop(pid); end
	end
	os.execute("rm -rf '" .. folder .. "'");
end

if programs.find("haproxy") then describe("two servers of two domains behind HAProxy", function ()
	local remote, folder, port;
	local me, user, carol = "me@example.com", "user@example.com", "carol@example.org";
	local carols = "p4ss-of-carol";

	local function curl(host, path, account, more)
		return ("curl -s -o '%s/body' -w '%%{http_code}' --cacert '%s/ca.crt' --resolve %s:%d:127.0.0.1 -u %s:%s -H 'Content-Type: text/plain' %s "
			.. "https://%s:%d/msg/%s"):format(folder, folder, host, port, account, account == me and world.password[me] or carols,
			more, host, port, path);
	end

	local function post(...)
		local status = output_of(curl(...));
		return tonumber(status), table.concat(lines_of(folder .. "/body"), "\n");
	end

	setup(function ()
		folder = neighbours.certify { "example.com", "example.org" };
		local others = neighbours.certify { "stranger.example" };
		local hosts = world.defaults().hosts;
		remote = neighbours.start(world,
			{ hosts = { ["example.com"] = hosts["example.com"] }, names = { "example.com" }, components = "" },
			{
				hosts = { ["example.org"] = { accounts = { carol = carols } }, ["stranger.example"] = { accounts = { carol = carols } } };
				names = { "example.org", "stranger.example" }; components = "";
				files = {
					["certs/stranger.example.crt"] = table.concat(lines_of(others .. "/stranger.example.crt"), "\n") .. "\n";
					["certs/stranger.example.key"] = table.concat(lines_of(others .. "/stranger.example.key"), "\n") .. "\n";
				};
			}, folder);
		os.execute("rm -rf '" .. others .. "'");
		port = wire.free_port();
		os.execute(("cd '%s' && mkdir pem && for name in example.com example.org; do cat $name.crt $name.key >pem/$name.pem; done")
			:format(folder));
		local config = blocks[1];
		config = replaced(config, ":443", "127.0.0.1:" .. port);
		config = replaced(config, "/etc/haproxy/certs/", folder .. "/pem/");
		config = replaced(config, "192.0.2.1:5280", "127.0.0.1:" .. world.server.http_port);
		config = replaced(config, "192.0.2.2:5280", "127.0.0.1:" .. remote.server.http_port);
		start_haproxy(folder, config, port);
		world.login(me, user);
	end);

	teardown(function ()
		if folder then clean_up(folder, "com", "org", "haproxy"); end
		if remote then remote.stop(); end
		world.stop();
	end);

	it("are selected by the name of the host", function ()
		assert.equal(201, (post("example.com", "user", me, "-d here")));
		assert.equal("here", body_of(world.receive(user)));
		assert.equal(401, (post("example.org", "user", me, "-d here")));
		assert.equal(421, tonumber(output_of(("curl -s -o '%s/body' -w '%%{http_code}' --insecure -d x https://127.0.0.1:%d/msg/user")
			:format(folder, port))));
	end);

	it("send to each other with certificates that they verify", function ()
		remote.login(carol);
		assert.equal(201, (post("example.com", carol, me, "-d there")));
		assert.equal("there", body_of(remote.receive(carol)));
		assert.equal(201, (post("example.org", user, carol, "-d back")));
		assert.equal("back", body_of(world.receive(user)));
		for name, one in pairs { ["example.com"] = remote, ["example.org"] = world } do
			local log = one.log();
			assert.is_truthy(log:find("certificate identity validation result: valid", 1, true));
			assert.is_truthy(log:find("Accepting SASL EXTERNAL identity from " .. name, 1, true), "no SASL EXTERNAL of " .. name);
		end
		remote.logout(carol);
	end);

	it("send nothing to a server whose certificate is of another authority", function ()
		remote.login("carol@stranger.example");
		local mark = world.log_mark();
		local status, body = post("example.com", "carol@stranger.example", me, "-H 'Prefer: wait=10' -d secret");
		assert.equal(504, status, body);
		assert.is_truthy(world.log(mark):find("Forbidding insecure connection to/from stranger.example", 1, true));
		assert.same({}, received(remote, "carol@stranger.example"));
		remote.logout("carol@stranger.example");
	end);

	it("are independent: one is killed while both get requests", function ()
		local count = 200;
		-- The running server gets each request once; the other one gets them as the page describes.
		local again = page:match("curl %-%-fail (%-%-retry .-) \\\n");
		again = assert(again, "docs/servers.md has no command that tries again"):gsub("%-delay 2", "-delay 1");
		local body = [[-d "number $1" -H "Idempotency-Key: number-$1" ]];
		poster(folder, "com", (curl("example.com", "user", me, body):gsub("/body", "/body-com-$1")));
		poster(folder, "org", (curl("example.org", "carol", carol, body .. again):gsub("/body", "/body-org-$1")));
		post_all(folder, "com", 1, count);
		post_all(folder, "org", 1, count);
		wire.await("some answers of both", function ()
			return select(2, ended(folder, "com")) >= 10 and select(2, ended(folder, "org")) >= 10;
		end);
		remote.kill();
		wire.await("all answers of the other", function () return select(2, ended(folder, "com")) == count; end, 60);
		local doubtful = under_way(folder, "org");
		local before, answered = ended(folder, "org");
		assert.is_true(answered < count, "all was answered before the server was killed");
		for number, status in pairs(ended(folder, "com")) do assert.equal("201", status, "number " .. number); end
		assert_all_once(received(world, user), {}, count);

		remote.restart();
		wire.await("all answers of the one that was killed", function () return select(2, ended(folder, "org")) == count; end, 90);
		for number, status in pairs(ended(folder, "org")) do assert.equal("201", status, "number " .. number); end
		for number in pairs(before) do
			assert.equal(201, (post("example.org", "carol", carol, ('-d "number %d" -H "Idempotency-Key: number-%d"'):format(number, number))));
		end
		remote.login(carol); -- her messages were stored for her
		assert_all_once(received(remote, carol), doubtful, count);
		remote.logout(carol);
	end);

	it("report that the recipient's server is down; with the same key, the message arrives once after it is up again", function ()
		assert.equal(201, (post("example.com", carol, me, "-d before")));
		remote.login(carol);
		assert.equal("before", body_of(remote.receive(carol)));
		remote.logout(carol);
		remote.kill();
		wire.await("the end of the connection", function ()
			return world.lua("return not next(prosody.hosts['example.com'].s2sout)");
		end);
		local asks = "-H 'Prefer: wait=10' -H 'Accept: application/json' -d after -H 'Idempotency-Key: %s'";
		local status, body = post("example.com", carol, me, asks:format("first"));
		assert.is_true(status == 502 or status == 504, "answered " .. status);
		local condition = json.decode(body).condition;
		assert.is_true(condition == "remote-server-not-found" or condition == "remote-server-timeout", body);
		assert.equal(201, (post("example.com", carol, me, "-d lost")));
		remote.restart();
		remote.login(carol);
		local again = asks:format("first"):gsub("wait=10", "wait=1");
		assert.equal(202, (post("example.com", carol, me, again))); -- the client sends no receipts
		assert.equal(202, (post("example.com", carol, me, again)));
		assert.same({ after = 1 }, received(remote, carol));
	end);

	it("have no error in their logs", function ()
		assert.same({}, world.errors());
		assert.same({}, remote.errors());
	end);
end); end

describe("two servers of one domain and one database", function ()
	local second, folder, port;
	local me, user = "me@example.com", "user@example.com";
	local recheck = 1; -- seconds

	local covered, why;

	local function with(key, body, more)
		local headers = { ["Idempotency-Key"] = key };
		for name, value in pairs(more or {}) do headers[name] = value; end
		return world.request("/msg/user", body or "hello", headers);
	end

	local function status_of(one, ...)
		local answer = one.http(with(...));
		return answer.status, answer;
	end

	local function by_token(one, token)
		return one.http(world.request("/msg/user", "by token", { ["Authorization"] = "Bearer " .. token })).status;
	end

	local function make_token(one)
		local out, err, status = one.prosodyctl { "mod_post_msg", "token", "add", me };
		assert.equal(0, status, err);
		return out:match("([^\n]*)\n$"), err:match("the token (%x+)");
	end

	-- The messages that were stored for the recipient, from both servers.
	local function fetch(one)
		one.login(user);
		local times = received(one, user);
		one.logout(user);
		return times;
	end

	setup(function ()
		folder = output_of("mktemp -d"):match("[^\n]+");
		world.start();
		local lua = world.lua("return _VERSION:match('%d.%d')");
		world.stop();
		covered, why = database.make(folder, lua);
		if not covered then print("not covered: " .. why); return; end
		database.start(folder);
		local function options()
			local hosts = world.defaults().hosts;
			return {
				hosts = { ["example.com"] = hosts["example.com"] }; components = ""; environment = database.environment(lua);
				extra = ("post_msg_credential_recheck = %d\n"):format(recheck) .. database.settings(folder);
			};
		end
		world.start(options());
		local path = assert(package.searchpath("spec.support.world", package.path));
		second = loadfile(path)(); -- Busted's assert returns more than the path
		second.start(options());
	end);

	teardown(function ()
		-- Background processes hold connections of the worlds, so the worlds would not end before them.
		if covered then database.stop(folder); end
		clean_up(folder, "posts", "haproxy");
		if second then second.stop(); end
		world.stop();
	end);

	-- This stays pending in the root of another Prosody, which has no driver for PostgreSQL, and on a machine without PostgreSQL or HAProxy:
	-- a test that cannot run prints a line, and never counts as passed.
	local function covered_it(name, test)
		it(name, function ()
			if not covered then pending("not covered: " .. why); end
			test();
		end);
	end

	covered_it("a key that was used on one is known on the other, whichever was first", function ()
		local first, answer = status_of(world, "shared", "once", { ["Accept"] = "application/json" });
		assert.equal(201, first);
		local again, same = status_of(second, "shared", "once", { ["Accept"] = "application/json" });
		assert.equal(201, again);
		assert.same(json.decode(answer.body), json.decode(same.body));
		assert.equal(422, (status_of(second, "shared", "another")));
		assert.equal(201, (status_of(second, "from-the-second", "back")));
		assert.equal(201, (status_of(world, "from-the-second", "back")));
		assert.equal(422, (status_of(world, "from-the-second", "another")));
		assert.same({ once = 1, back = 1 }, fetch(second));
		assert.same({}, fetch(world));
	end);

	covered_it("a token made on one is known on the other, and refused there soon after it was revoked", function ()
		local token, id = make_token(world);
		assert.equal(201, by_token(second, token));
		assert.equal(201, by_token(world, token));
		local _, err, status = world.prosodyctl { "mod_post_msg", "token", "revoke", id };
		assert.equal(0, status, err);
		wire.await("both to refuse the token", function ()
			return by_token(second, token) == 401 and by_token(world, token) == 401;
		end);
		fetch(second);
	end);

	covered_it("a password changed on one is refused on the other soon, and the new one is accepted at once", function ()
		assert.equal(201, second.http(world.request("/msg/user", "old")).status);
		assert.is_true(world.lua("return require 'core.usermanager'.set_password('me', 'another', 'example.com') and true"));
		local old = world.basic(me);
		local before = world.password[me];
		world.password[me] = "another";
		assert.equal(201, second.http(world.request("/msg/user", "new")).status);
		wire.await("the other to refuse the old password", function ()
			return second.http(world.request("/msg/user", "old", { ["Authorization"] = old })).status == 401;
		end);
		world.password[me] = before;
		assert.is_true(world.lua(("return require 'core.usermanager'.set_password('me', %q, 'example.com') and true"):format(before)));
		assert.equal(201, world.http(world.request("/msg/user", "old")).status);
		fetch(second);
	end);

	covered_it("an account deleted on one is refused on the other soon, and its tokens with it", function ()
		local other = world.basic("other@example.com");
		local token = world.prosodyctl({ "mod_post_msg", "token", "add", "other@example.com" }):match("([^\n]*)\n$");
		local function by_password()
			return second.http(world.request("/msg/user", "by password", { ["Authorization"] = other })).status;
		end
		assert.equal(201, by_token(second, token));
		assert.equal(201, by_password());
		assert.is_true(world.lua("return require 'core.usermanager'.delete_user('other', 'example.com') and true"));
		wire.await("the other to refuse both", function () return by_token(second, token) == 401 and by_password() == 401; end);
		assert.equal(401, by_token(world, token));
		fetch(second);
	end);

	covered_it("while the database is down, requests with keys, tokens and passwords get 503 and send nothing; afterwards they succeed", function ()
		local token = make_token(world);
		assert.equal(201, world.http(world.request("/msg/user", "remembered")).status);
		database.stop(folder);
		-- The password is cached for a second; the token was not used yet, so it is looked up at once.
		local headers = { ["Authorization"] = "Bearer " .. token };
		assert.equal(503, (status_of(world, "away", "away", headers)));
		assert.equal(503, (status_of(second, "away", "away", headers)));
		wire.await("the password to be asked for", function ()
			return world.http(world.request("/msg/user", "by password")).status == 503;
		end);
		-- lua-dbi of Debian 12 sometimes crashes when it reconnects (in libpq), so both servers are restarted.
		world.kill();
		second.kill();
		database.start(folder);
		world.restart();
		second.restart();
		assert.equal(201, (status_of(second, "away", "away", headers)));
		assert.equal(201, (status_of(world, "away", "away", headers)));
		assert.same(1, fetch(second)["away"]);
	end);

	covered_it("one takes over behind HAProxy when the other is killed: answered messages are not sent again, and the others arrive", function ()
		-- As above: PostgreSQL may be present without HAProxy.
		if not programs.find("haproxy") then pending("not covered: haproxy"); end
		local count = 200;
		port = wire.free_port();
		local backend = blocks[2];
		backend = replaced(backend, "192.0.2.1:5280", "127.0.0.1:" .. world.server.http_port);
		backend = replaced(backend, "192.0.2.2:5280", "127.0.0.1:" .. second.server.http_port);
		local front = blocks[1]:match("^(.-)frontend") .. ("frontend posts\n    bind 127.0.0.1:%d\n    default_backend example_com\n"):format(port);
		start_haproxy(folder, front .. backend, port);
		local function command(more)
			return ("curl -s -o body-$1 -w '%%{http_code}' %s -u %s:%s -H 'Content-Type: text/plain' -H 'Host: example.com' "
				.. [[-d "number $1" -H "Idempotency-Key: number-$1" http://127.0.0.1:%d/msg/user]])
				:format(more, me, world.password[me], port);
		end
		poster(folder, "posts", command("--retry 100 --retry-delay 1 --retry-max-time 60"));
		post_all(folder, "posts", 1, count);
		wire.await("some answers", function () return select(2, ended(folder, "posts")) >= 10; end);
		world.kill();
		local doubtful = under_way(folder, "posts");
		local _, answered = ended(folder, "posts");
		assert.is_true(answered < count, "all was answered before the server was killed");
		wire.await("all answers", function () return select(2, ended(folder, "posts")) == count; end, 60);
		for number, status in pairs(ended(folder, "posts")) do assert.equal("201", status, "number " .. number); end
		-- Posts all of them again, to the second server.
		for number = 1, count do assert.equal(201, (status_of(second, "number-" .. number, "number " .. number))); end
		assert_all_once(fetch(second), doubtful, count);
		assert.same({}, second.errors(second.log_mark()));
	end);
end);
