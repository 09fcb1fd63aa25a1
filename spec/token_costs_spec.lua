-- The cost of a sending token for the server: recipients, lists, caches. An earlier version stored tokens with more recipients than a
-- new token may have.

local json = require "dkjson";
local mime = require "mime";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local me = "me@example.com";

local function manage(given)
	local body = type(given) == "table" and json.encode(given) or given;
	local answer = world.http(world.request("/msg/@tokens", body, { ["Content-Type"] = "application/json", ["Accept"] = "application/json" }));
	return answer.status, json.decode(answer.body), answer.body;
end

local function ctl(...)
	return world.prosodyctl({ "mod_post_msg", "token", ... });
end

-- Writes tokens of an account into the store, as an earlier version did. `count`: their number; each has a number of recipients.
local function store_tokens(username, tokens, recipients)
	world.lua(([[
		local storagemanager = require "core.storagemanager";
		local store, accounts = storagemanager.open("example.com", "post_msg_tokens"), storagemanager.open("example.com", "post_msg_token_ids");
		local to, ids = { "echo.example.com" }, {};
		for index = 1, %d do to[#to + 1] = ("somebody-with-a-name-%%d@example.com"):format(index); end
		for index = 1, %d do
			local id = ("%%016x"):format(index);
			ids[id] = 0;
			assert(store:set(id, { account = %q, hash = ("0"):rep(64), made = 1700000000 + index, to = to, label = "a\226\128\174b\194\155c" }));
		end
		return (assert(accounts:set(%q, ids)));
	]]):format(recipients, tokens, username, username));
end

-- The number of turns of the event loop between the first and the last read of the store, while `run` runs.
local function turns_during(run) --> number, what `run` returns
	world.lua([[
		local storagemanager, timer = require "core.storagemanager", require "util.timer";
		local class = getmetatable(storagemanager.open("example.com", "post_msg_tokens")).__index;
		local get, turns, first, last = class.get, 0, nil, nil;
		local counting = true;
		timer.add_task(0, function () turns = turns + 1; return counting and 0.0005 or nil; end);
		class.get = function (self, name)
			if self.store == "post_msg_tokens" then
				first = first or turns;
				last = turns;
			end
			return get(self, name);
		end;
		prosody.spec_count_turns = function ()
			class.get, counting = get, false;
			return last - first;
		end;
		return true]]);
	local found = run();
	return world.lua("return prosody.spec_count_turns()"), found;
end

describe("a token", function ()
	lazy_setup(function ()
		world.start();
		world.login(me);
	end);
	lazy_teardown(function ()
		assert.same({}, world.errors());
		world.stop();
	end);

	it("has at most 100 recipients, 16 KiB in all, in every way of making it", function ()
		local function recipients(count, length)
			local to = {};
			for index = 1, count do to[index] = ("%s%04d@example.com"):format(("u"):rep((length or 17) - 16), index); end
			return to;
		end
		local function options(to)
			local words = {};
			for _, address in ipairs(to) do
				words[#words + 1] = "--to";
				words[#words + 1] = address;
			end
			return (table.unpack or unpack)(words);
		end
		for _, to in ipairs { recipients(101), recipients(90, 200), recipients(3000) } do
			local status, problem = manage { action = "add", to = to };
			assert.equal(422, status);
			assert.equal("to", problem.field);
			assert.matches("at most 100 recipients, 16384 bytes", problem.detail);
			local _, err, exit = ctl("add", me, options(to));
			assert.is_true(exit ~= 0);
			assert.matches("at most 100 recipients", err);
			local answer = world.command(me, "post_msg#token-add", { to = to });
			assert.equal("error", answer.notes[1][1]);
			assert.matches("100", answer.notes[1][2]);
		end
		local status, made = manage { action = "add", to = recipients(100) };
		assert.equal(201, status);
		assert.equal(200, (manage { action = "revoke", id = made.id }));
	end);

	it("has no controls and direction marks in label, recipients and secret, in every way of making it", function ()
		for _, label in ipairs { "a\226\128\174b", "a\194\155b", "a\226\129\166b", "a\226\128\168b", "a\127b" } do
			local status, problem = manage { action = "add", label = label };
			assert.equal(422, status);
			assert.equal("label", problem.field);
			assert.equal("error", world.command(me, "post_msg#token-add", { label = label }).notes[1][1]);
			local _, err, exit = ctl("add", me, "--label", label);
			assert.is_true(exit ~= 0);
			assert.matches("one line", err);
			_, err, exit = ctl("add", me, "--to", "x y" .. label .. "@example.com");
			assert.is_true(exit ~= 0);
			assert.is_nil(err:find(label, 1, true));
			assert.is_true(select(3, ctl("add", me, "--webhook-secret", label)) ~= 0);
		end
	end);

	it("is made from JSON only: other bytes are answered 422, with the name of the wrong field", function ()
		for body, field in pairs {
			['{"action":"add","\255":1}'] = "action", ['{"action":"add","' .. ("x"):rep(50000) .. '":1}'] = ("x"):rep(60),
			[("["):rep(60000)] = "action", [("{\"a\":"):rep(10000)] = "action", ['{"action":"add","label":"\255"}'] = "action",
			['{"action":"revoke","id":"../me"}'] = "id", ['{"action":"revoke","id":"0000000000000001-used"}'] = "id",
			['{"action":"revoke"}'] = "id",
		} do
			local status, problem, text = manage(body);
			assert.is_true(status == 422 or field == "id" and status == 404, text);
			assert.equal(field, problem.field);
			assert.is_true(#text < 1000, text);
		end
	end);

	it("with a rate counts each message, even after more messages than separate counts", function ()
		local _, made = manage { action = "add", rate = 150 };
		local requests = {};
		for index = 1, 151 do
			requests[index] = world.request("/msg/swallow@echo.example.com", "x", { ["Authorization"] = "Bearer " .. made.token });
		end
		local statuses = {};
		for _, answer in ipairs { world.http(table.concat(requests), 151, "rated") } do
			statuses[answer.status] = (statuses[answer.status] or 0) + 1;
			if answer.status == 429 then
				local seconds = tonumber(answer.headers["retry-after"]);
				assert.is_true(seconds > 30 and seconds <= 60, answer.headers["retry-after"]);
			end
		end
		world.hang_up("rated");
		assert.same({ [201] = 150, [429] = 1 }, statuses);
	end);
end);

describe("tokens of an earlier version, with 1,000 recipients each,", function ()
	lazy_setup(function ()
		world.start();
		world.login(me, "user@example.com");
		store_tokens("me", 100, 1000);
	end);
	lazy_teardown(function ()
		assert.same({}, world.errors());
		world.stop();
	end);

	it("are listed in many turns of the event loop, in a short answer", function ()
		local turns, found = turns_during(function ()
			local status, found, text = manage { action = "list" };
			assert.equal(200, status);
			assert.is_true(#text < 300000, #text .. " bytes");
			return found;
		end);
		assert.equal(100, #found.tokens);
		assert.equal("a b c", found.tokens[1].label);
		assert.matches("^… %(9%d%d more%)$", found.tokens[1].to[#found.tokens[1].to]);
		assert.is_true(turns > 3, turns .. " turns");
	end);

	it("are listed and offered to a chat client in many turns, in its language", function ()
		local turns, answer = turns_during(function ()
			return world.command(me, "post_msg#token-list", nil, "de");
		end);
		assert.equal("Sende-Token anzeigen", answer.title);
		assert.equal(100, #answer.items);
		assert.equal("a b c", answer.items[1].label);
		assert.is_true(turns > 3, turns .. " turns");
		turns, answer = turns_during(function ()
			return world.command(me, "post_msg#token-revoke");
		end);
		assert.equal(100, #answer.options.id);
		assert.is_true(turns > 3, turns .. " turns");
	end);

	it("are listed on a terminal without controls and direction marks", function ()
		local out = ctl("list", me);
		assert.is_truthy(out:find("label a b c", 1, true), out:sub(1, 300));
		assert.is_nil(out:find("\194\155", 1, true) or out:find("\226\128\174", 1, true));
	end);

	it("are revoked with one lookup", function ()
		local turns = turns_during(function ()
			assert.equal(200, (manage { action = "revoke", id = ("%016x"):format(100) }));
		end);
		assert.equal(0, turns);
	end);

	it("hold their recipients in memory once, for any number of sender addresses", function ()
		local token = ctl("add", me):match("(pmsg_%S+)");
		local id = token:match("_(%x+)_");
		world.lua(([[local store = require "core.storagemanager".open("example.com", "post_msg_tokens");
			local entry = store:get(%q);
			entry.to = store:get("0000000000000001").to;
			return (assert(store:set(%q, entry)))]]):format(id, id));
		local function memory()
			world.lua("collectgarbage() collectgarbage() return true");
			local pid = assert(io.open(world.server.dir .. "/prosody.pid")):read("*n");
			local status = assert(io.open(("/proc/%d/status"):format(pid))):read("*a");
			return tonumber(status:match("VmRSS:%s*(%d+)")) / 1024;
		end
		local function use(first, last)
			for number = first, last do
				local credentials = mime.b64(("me@example.com/r%d:%s"):format(number, token));
				local answer = world.http(world.request("/msg/swallow@echo.example.com", "x", { ["Authorization"] = "Basic " .. credentials }), 1, "open");
				assert.equal(201, answer.status, answer.body);
			end
		end
		use(1, 20);
		local baseline = memory();
		use(21, 520);
		local grown = memory() - baseline;
		world.hang_up("open");
		assert.is_true(grown < 20, grown .. " MB");
		wire.await("the time of its use", function () return ctl("list", me):find(id .. "[^\n]*used 20"); end);
	end);
end);
