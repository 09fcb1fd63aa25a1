-- Delivery of messages, end to end: over s2s, while a request waits, in batches, with idempotency keys, and when clients disconnect, or
-- the module or the server stops.

local json = require "dkjson";
local mime = require "mime";
local neighbours = require "spec.support.neighbours";
local socket = require "socket";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local me, user, other = "me@example.com", "user@example.com", "other@example.com";

local function request(path, body, headers)
	return world.request(path, body or "hello", headers);
end

local function post(...)
	return world.http(request(...));
end

local function body_of(raw)
	return raw:match("<body>(.-)</body>");
end

-- The stanza that a client sends to say that a message arrived.
local function receipt_for(raw)
	return ("<message to='%s'><received xmlns='urn:xmpp:receipts' id='%s'/></message>")
		:format(raw:match(" from='([^']*)'"), raw:match(" id='([^']*)'"));
end

teardown(world.stop);

describe("to many other servers", function ()
	lazy_setup(function ()
		world.start();
		world.login(user);
	end);

	it("an account sends to two hundred within a minute: 503 for more, and its messages to known servers go on", function ()
		local to = {};
		for i = 1, 210 do to[i] = ("somebody@server-%d.invalid"):format(i); end
		local batch = {};
		for i = 1, 210, 70 do batch[#batch + 1] = { to = { (table.unpack or unpack)(to, i, i + 69) }; body = "hello" }; end
		local answer = post("/msg", json.encode(batch), { ["Content-Type"] = "application/json"; ["Accept"] = "application/json" });
		assert.equal(207, answer.status);
		local outcomes = json.decode(answer.body);
		for i, outcome in ipairs(outcomes) do
			assert.equal(i > 200, outcome.error.condition == "resource-constraint", i);
		end
		answer = post("/msg/somebody@server-211.invalid");
		assert.equal(503, answer.status);
		assert.is_truthy(answer.body:find("200 other servers", 1, true), answer.body);
		assert.not_equal(503, post("/msg/somebody@server-1.invalid").status);
		assert.not_equal(503, post("/msg/somebody@server-211.invalid", "hello", { ["Authorization"] = world.basic(other) }).status);
		assert.equal(201, post("/msg/user").status);
		assert.equal("hello", body_of(world.receive(user)));
	end);
end);

describe("between two servers", function ()
	local remote;
	local carol = "carol@remote.example";
	local patience = 7; -- seconds: s2s_timeout

	lazy_setup(function ()
		local hosts = world.defaults().hosts;
		remote = neighbours.start(world,
			{
				hosts = { ["example.com"] = hosts["example.com"] }, names = { "example.com" }, components = "";
				extra = "s2s_timeout = " .. patience;
			},
			{ hosts = { ["remote.example"] = { accounts = { carol = "p4ss-of-carol" } } }, names = { "remote.example" }, components = "" });
		world.login(me, me .. "/desk", user);
		remote.login(carol);
	end);
	lazy_teardown(function () remote.stop(); end);

	local problem = { ["Accept"] = "application/problem+json" };
	local function waiting(seconds, more)
		local headers = { ["Prefer"] = "wait=" .. seconds, ["Accept"] = "application/problem+json" };
		for name, value in pairs(more or {}) do headers[name] = value; end
		return headers;
	end

	it("a message to an unknown account of another server: 404 with that server's condition", function ()
		local answer = post("/msg/nobody@remote.example", "hello", waiting(5));
		assert.equal(404, answer.status, answer.body);
		assert.equal("service-unavailable", json.decode(answer.body).condition);
	end);

	it("to a server that does not exist: 502", function ()
		local answer = post("/msg/nobody@nowhere.example", "hello", waiting(5));
		assert.equal(502, answer.status, answer.body);
		assert.equal("remote-server-not-found", json.decode(answer.body).condition);
	end);

	it("to a server that accepts the connection and is silent: 202 after 5 seconds; a later bounce reaches no client", function ()
		local mark, began = world.log_mark(), socket.gettime();
		local from_desk = { ["Authorization"] = "Basic " .. mime.b64(me .. "/desk:mypassword") };
		local answer = post("/msg/somebody@silent.example", "hello", waiting(5, from_desk));
		local took = socket.gettime() - began;
		assert.equal(202, answer.status, answer.body);
		assert.is_true(took >= 4.9 and took < 5 + patience, ("after %.1f s"):format(took));
		wire.await("the end of the connection", function ()
			return world.log(mark):find("Sending error replies for", 1, true);
		end, patience + 20);
		local messages = world.collect();
		assert.same({ [me] = {}, [me .. "/desk"] = {}, [user] = {} }, messages);
	end);

	it("to somebody who confirms it: 200; without a receipt it arrives too", function ()
		local sent = wire.send(request("/msg/" .. carol, "please confirm", waiting(30)));
		local raw = remote.receive(carol);
		assert.equal("please confirm", body_of(raw));
		assert.matches("<request xmlns='urn:xmpp:receipts'/>", raw, nil, true);
		assert.is_false(sent:arrived());
		remote.send(carol, receipt_for(raw));
		local answer = assert(sent:answer());
		assert.equal(200, answer.status);
		assert.equal("wait=30", answer.headers["preference-applied"]);

		assert.equal(201, post("/msg/" .. carol, "no need").status);
		raw = remote.receive(carol);
		assert.equal("no need", body_of(raw));
		assert.is_nil(raw:find("urn:xmpp:receipts", 1, true));
	end);

	it("bounces that come after the answer never reach the sender's clients", function ()
		for _, from in ipairs { me, me .. "/desk", me .. "/elsewhere" } do
			local as = { ["Authorization"] = "Basic " .. mime.b64(from .. ":mypassword") };
			for i = 1, 5 do
				local answer = post("/msg/nobody@remote.example", "stray " .. i, as);
				assert.equal(201, answer.status, answer.body);
				answer = post("/msg/nobody@nowhere.example", "stray " .. i, as);
				assert.is_true(answer.status == 201 or answer.status == 502, answer.body);
			end
			-- This arrives after the bounces.
			assert.equal(201, post("/msg/" .. carol, "last", as).status);
			assert.equal("last", body_of(remote.receive(carol)));
			for _, to in ipairs { me .. "/desk", me } do
				remote.send(carol, "<message to='" .. to .. "' type='chat'><body>after all</body></message>");
			end
			for _, client in ipairs { me, me .. "/desk" } do
				local raw = world.receive(client);
				assert.equal("after all", body_of(raw), raw);
			end
			for address, messages in pairs((world.collect())) do
				for _, raw in ipairs(messages) do assert.equal("after all", body_of(raw), address .. ": " .. raw); end
			end
		end
	end);

	it("errors about a client's own stanzas still reach it", function ()
		world.send(me .. "/desk", "<message to='nobody@remote.example' type='chat' id='my-own-1'><body>mine</body></message>");
		local raw = world.receive(me .. "/desk");
		assert.matches("type='error'", raw, nil, true);
		assert.matches("my-own-1", raw, nil, true);
	end);

	it("several recipients of both servers have an outcome each", function ()
		local answer = post("/msg", json.encode {
			to = { user, "nobody@remote.example", "nobody@nowhere.example", carol }; body = "to all";
		}, { ["Content-Type"] = "application/json", ["Accept"] = "application/json", ["Prefer"] = "wait=2" });
		assert.equal(207, answer.status, answer.body);
		local outcomes = json.decode(answer.body);
		assert.equal("sent", outcomes[1].status);
		assert.equal(404, outcomes[2].error.status);
		assert.equal("remote-server-not-found", outcomes[3].error.condition);
		assert.equal("sent", outcomes[4].status);
		assert.equal("to all", body_of(world.receive(user)));
		assert.equal("to all", body_of(remote.receive(carol)));
	end);

	it("neither server has an error in its log", function ()
		assert.equal(201, post("/msg/user", "the end", problem).status);
		assert.same({}, world.errors());
		assert.same({}, remote.errors());
	end);
end);

describe("a request that waits", function ()
	lazy_setup(function ()
		world.start();
		world.login(me, user, other);
	end);

	-- A request to user@ that waits, once its message has arrived. > it, the message
	local function wait(seconds, headers)
		local all = { ["Prefer"] = "wait=" .. seconds };
		for name, value in pairs(headers or {}) do all[name] = value; end
		local sent = wire.send(request("/msg/user@example.com", "waiting", all));
		return sent, world.receive(user);
	end

	it("is not ended by receipts and bounces from other addresses", function ()
		local sent, raw = wait(30);
		local id = raw:match(" id='([^']*)'");
		for _, forged in ipairs {
			"<message to='me@example.com'><received xmlns='urn:xmpp:receipts' id='%s'/></message>",
			"<message to='me@example.com' type='error' id='%s'><error type='cancel'>"
				.. "<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
		} do
			world.send(other, (forged:format(id)));
		end
		world.ping(other);
		world.send(user, "<message to='me@example.com'><received xmlns='urn:xmpp:receipts' id='another'/></message>");
		world.send(user, "<message to='other@example.com'><received xmlns='urn:xmpp:receipts' id='" .. id .. "'/></message>");
		world.ping(user);
		assert.is_false(sent:arrived(0.2));
		world.send(user, receipt_for(raw));
		assert.equal(200, assert(sent:answer()).status);
		world.collect();
	end);

	it("is ended by a receipt with a text, which the account gets", function ()
		local sent, raw = wait(30);
		world.send(user, (receipt_for(raw):gsub("</message>", "<body>and a text</body>%0")));
		assert.equal(200, assert(sent:answer()).status);
		assert.equal("and a text", body_of(world.receive(me)));
		-- So does a late receipt.
		sent, raw = wait(1);
		assert.equal(202, assert(sent:answer()).status);
		world.send(user, (receipt_for(raw):gsub("</message>", "<body>late</body>%0")));
		assert.equal("late", body_of(world.receive(me)));
	end);

	it("is not ended by the error of another occupant of the room, or of another resource of the recipient", function ()
		local sent = wire.send(request("/msg/room@echo.example.com/nick", "hello", { ["Prefer"] = "wait=1" }));
		world.lua([[
			prosody.hosts["echo.example.com"].events.add_handler("message/full", function (event)
				local reply = require "util.stanza".error_reply(event.stanza, "cancel", "gone");
				reply.attr.from = "room@echo.example.com/another";
				module:context("echo.example.com"):send(reply);
				return true;
			end, 1e6)]]);
		assert.equal(202, assert(sent:answer()).status);
		local answer = post("/msg/room@echo.example.com/nick", "hello", { ["Prefer"] = "wait=1" });
		assert.equal(202, answer.status, answer.body);
		world.module("reload", "echo.example.com", "spec_echo");
	end);

	it("does not slow down a stranger's stanza, even if many requests wait with the same id", function ()
		local lines = {};
		for i = 1, 5000 do lines[i] = ('{"to":"u%d@echo.example.com","id":"same","body":"x"}'):format(i % 1000); end
		local function steps()
			return world.steps("example.com", "message/bare", [[st.message({ from = 'stranger@second.example/x', to = 'me@example.com' })
				:tag("received", { xmlns = "urn:xmpp:receipts", id = "same" }):up()]]);
		end
		steps();
		local baseline = steps();
		world.lua([[prosody.spec_counted = 0;
			prosody.hosts["echo.example.com"].events.add_handler("message/bare", function () prosody.spec_counted = prosody.spec_counted + 1; end, 1e6)]]);
		local sent = wire.send(request("/msg", table.concat(lines, "\n"), { ["Content-Type"] = "application/x-ndjson", ["Prefer"] = "wait=60" }));
		wire.await("all messages to be sent", function () return world.lua("return prosody.spec_counted") == #lines; end);
		local with_many = steps();
		assert.is_true(with_many < baseline + 500, baseline .. " instructions before, and " .. with_many);
		assert(world.module("reload"));
		assert.equal(503, assert(sent:answer()).status);
		world.collect();
	end);

	it("with a long id takes little memory until its bounce", function ()
		local lines = {};
		for i = 1, 2500 do lines[i] = ('{"to":"swallow@echo.example.com","id":"%s%d","body":"x"}'):format(("i"):rep(1000), i); end
		local function memory() return world.lua("collectgarbage(); collectgarbage(); return collectgarbage('count')"); end
		local baseline = memory();
		local as_desk = { ["Content-Type"] = "application/x-ndjson", ["Authorization"] = "Basic " .. mime.b64("me@example.com/desk:mypassword") };
		assert.equal(201, post("/msg", table.concat(lines, "\n"), as_desk).status);
		local grown = memory() - baseline;
		assert.is_true(grown < 2500, grown .. " kB");
	end);

	it("is ended by the bounce of its recipient", function ()
		local sent, raw = wait(30, { ["Accept"] = "application/problem+json" });
		world.send(user, ("<message to='me@example.com' type='error' id='%s'><error type='cancel'><not-acceptable xmlns='%s'/>"
			.. "<text xmlns='%s'>No more, please</text></error></message>")
			:format(raw:match(" id='([^']*)'"), "urn:ietf:params:xml:ns:xmpp-stanzas", "urn:ietf:params:xml:ns:xmpp-stanzas"));
		local answer = assert(sent:answer());
		assert.equal(422, answer.status);
		assert.equal("not-acceptable", json.decode(answer.body).condition);
		assert.matches("No more, please", json.decode(answer.body).detail, nil, true);
		assert.same({}, world.collect()[me]);
	end);

	it("is answered, and logged, with one short line of a bounce's long text", function ()
		local mark = world.log_mark();
		local sent, raw = wait(30, { ["Accept"] = "application/problem+json" });
		world.send(user, ("<message to='me@example.com' type='error' id='%s'><error type='cancel'><gone xmlns='%s'/>"
			.. "<text xmlns='%s'>no\n\194\155more\226\128\174 %s</text></error></message>")
			:format(raw:match(" id='([^']*)'"), "urn:ietf:params:xml:ns:xmpp-stanzas", "urn:ietf:params:xml:ns:xmpp-stanzas", ("ä"):rep(50000)));
		local answer = assert(sent:answer());
		assert.equal(410, answer.status);
		local shown = "user@example.com: gone (no  more  " .. ("ä"):rep(200 - #"no  more  ") .. "…)";
		assert.equal(shown, json.decode(answer.body).detail);
		assert.matches("410, " .. shown .. "\n", world.log(mark), nil, true);
	end);

	it("whose receipt comes too late is answered 202, and the receipt reaches no client", function ()
		local sent, raw = wait(1);
		local answer = assert(sent:answer());
		assert.equal(202, answer.status);
		assert.equal("wait=1", answer.headers["preference-applied"]);
		world.send(user, receipt_for(raw));
		world.ping(user);
		assert.same({}, world.errors());
		world.collect();
	end);

	it("with the same id as another waiting request is ended by its own receipt only", function ()
		local function to(name)
			return wire.send(world.request("/msg/" .. name, json.encode { body = "same id", id = "twice" },
				{ ["Content-Type"] = "application/json", ["Prefer"] = "wait=30" }));
		end
		local to_user, to_other = to("user"), to("other");
		local raw_user, raw_other = world.receive(user), world.receive(other);
		world.send(other, receipt_for(raw_other));
		assert.equal(200, assert(to_other:answer()).status);
		assert.is_false(to_user:arrived(0.1));
		world.send(user, receipt_for(raw_user));
		assert.equal(200, assert(to_user:answer()).status);
	end);

	it("can be aborted by its client, and a later receipt or bounce causes no error", function ()
		local mark = world.log_mark();
		local raws = {};
		for i = 1, 10 do
			local sent;
			sent, raws[i] = wait(2);
			sent:hang_up();
		end
		world.ping(user);
		for i = 1, 5 do world.send(user, receipt_for(raws[i])); end
		world.ping(user);
		-- The others end by time.
		local sent = wait(3);
		assert.equal(202, assert(sent:answer()).status);
		assert.same({}, world.errors(mark));
		assert.equal(201, post("/msg/user").status);
		world.collect();
	end);

	it("ends with 503 when the module is reloaded or unloaded; requests of another host go on", function ()
		local mark = world.log_mark();
		for _, action in ipairs { "reload", "unload" } do
			local there, there_raw = wait(30, { ["Host"] = "second.example" });
			local sent, raws = {}, {};
			for i = 1, 20 do sent[i], raws[i] = wait(30); end
			local with_key = wait(30, { ["Idempotency-Key"] = "reloaded-" .. action });
			assert(world.module(action));
			for _, answer in ipairs(wire.answers(sent)) do
				assert.equal(503, answer.status);
				assert.matches("^[^\n]+\n?$", answer.body);
			end
			assert.equal(503, assert(with_key:answer()).status);
			world.send(user, receipt_for(raws[1])); -- no request waits for it now
			world.ping(user);
			assert.is_false(there:arrived(0.1));
			world.send(user, receipt_for(there_raw));
			assert.equal(200, assert(there:answer()).status);
		end
		assert(world.module("load"));
		assert.equal(201, post("/msg/user").status);
		assert.same({}, world.errors(mark));
		world.collect();
	end);

	it("does not delay a shutdown", function ()
		local mark = world.log_mark();
		local sent = {};
		for i = 1, 10 do sent[i] = wait(60); end
		world.restart();
		for _, one in ipairs(sent) do
			local answer = one:answer();
			if answer then assert.equal(503, answer.status); end
		end
		local log = world.log(mark);
		assert.is_truthy(log:find("Shutdown complete", 1, true) or log:find("Shutting down", 1, true));
		assert.same({}, world.errors(mark));
		world.login(me, user, other);
		assert.equal(201, post("/msg/user").status);
	end);

	it("can wait together with a thousand others: no other client is delayed, and all end", function ()
		world.collect();
		local sent = {};
		for i = 1, 1000 do sent[i] = wire.send(request("/msg/swallow@echo.example.com", "waiting", { ["Prefer"] = "wait=3" })); end
		assert.equal(201, post("/msg/user").status);
		assert.is_true(math.min(world.ping(user), world.ping(user), world.ping(user)) < 2);
		for _, answer in ipairs(wire.answers(sent)) do assert.equal(202, answer.status); end
		assert.same({}, world.errors());
	end);
end);

describe("a message for which another module raises an error", function ()
	local raised = 0;

	lazy_setup(function ()
		world.start();
		world.login(user);
		world.lua([[
			prosody.hosts["example.com"].events.add_handler("pre-message/bare", function (event)
				if event.stanza:get_child_text("body") == "raise" then error("as asked for\nin two lines"); end
			end, 1e6)]]);
	end);

	it("fails with 502 and is one line in the log, and the next one arrives", function ()
		for _, headers in ipairs { {}, { ["Prefer"] = "wait=30" } } do
			headers["Accept"] = "application/problem+json";
			local mark = world.log_mark();
			local answer = post("/msg/user", "raise", headers);
			assert.equal(502, answer.status, answer.body);
			assert.equal("internal-server-error", json.decode(answer.body).condition);
			local errors = world.errors(mark);
			assert.equal(1, #errors);
			assert.matches("Routing a message failed in another module: .*as asked for$", errors[1]);
			raised = raised + 1;
			assert.equal(201, post("/msg/user", "fine").status);
			assert.equal("fine", body_of(world.receive(user)));
		end
		world.assert_nothing_held();
	end);

	it("does not stop the rest of its batch, and a key keeps the outcomes", function ()
		local body = table.concat({ '{"body":"one"}', '{"body":"raise"}', '{"body":"three"}' }, "\n");
		local headers = { ["Content-Type"] = "application/x-ndjson", ["Accept"] = "application/json", ["Idempotency-Key"] = "raised" };
		local first;
		for _ = 1, 2 do
			local answer = post("/msg/user", body, headers);
			assert.equal(207, answer.status, answer.body);
			first = first or answer.body;
			assert.equal(first, answer.body);
		end
		local outcomes = json.decode(first);
		assert.equal("sent", outcomes[1].status);
		assert.equal(502, outcomes[2].error.status);
		assert.equal("sent", outcomes[3].status);
		assert.equal("one", body_of(world.receive(user)));
		assert.equal("three", body_of(world.receive(user)));
		assert.same({}, world.collect()[user]);
		raised = raised + 1;
		assert.equal(raised, #world.errors());
	end);
end);

describe("a batch", function ()
	local count = 10000;
	local ndjson = { ["Content-Type"] = "application/x-ndjson" };

	-- Without an archive: an archive in memory is slow with so many messages.
	lazy_setup(function ()
		local hosts = world.defaults().hosts;
		hosts["example.com"].lines = "modules_disabled = { 'tls', 's2s', 'mam' }";
		world.start({ hosts = hosts });
		world.login(user, other);
	end);

	local function lines(number, bad)
		local found = {};
		for i = 1, number do
			found[i] = i == bad and '{"to":"user","body":[' .. i .. "]}" or ('{"to":"user","body":"number %d of many","id":"n%d"}'):format(i, i);
		end
		return table.concat(found, "\n") .. "\n";
	end

	local function gzip(text)
		local name = os.tmpname();
		local file = assert(io.open(name, "wb"));
		file:write(text);
		file:close();
		local pipe = assert(io.popen("gzip -c '" .. name .. "'"));
		local found = pipe:read("*a");
		pipe:close();
		os.remove(name);
		return found;
	end

	local function assert_all_arrived()
		local messages, trouble = world.collect();
		assert.same({}, trouble);
		assert.equal(count, #messages[user]);
		for i, raw in ipairs(messages[user]) do
			if body_of(raw) ~= ("number %d of many"):format(i) then error(("in place %d: %s"):format(i, raw)); end
		end
		assert.same({}, messages[other]);
	end

	it("of 10,000 messages arrives completely, in order, each message once, while the server answers other requests", function ()
		local sent = wire.send(request("/msg", lines(count), { ["Content-Type"] = "application/x-ndjson", ["Accept"] = "application/json" }));
		local pings = 0;
		repeat
			world.ping(other);
			pings = pings + 1;
		until sent:arrived();
		local answer = assert(sent:answer());
		assert.equal(201, answer.status, answer.body:sub(1, 300));
		local outcomes = json.decode(answer.body);
		assert.equal(count, #outcomes);
		for i, outcome in ipairs(outcomes) do
			if outcome.id ~= "n" .. i or outcome.status ~= "sent" then error("outcome " .. i .. ": " .. json.encode(outcome)); end
		end
		assert_all_arrived();
		assert.is_true(pings >= 5, pings .. " pings were answered meanwhile");
	end);

	it("may be compressed, and has no body in its answer unless the client asks for one", function ()
		local answer = post("/msg", gzip(lines(count)), { ["Content-Type"] = "application/x-ndjson", ["Content-Encoding"] = "gzip" });
		assert.equal(201, answer.status, answer.body:sub(1, 300));
		assert.equal("", answer.body);
		assert_all_arrived();
	end);

	it("may be a JSON array", function ()
		local answer = post("/msg", "[" .. lines(count):gsub("\n", ",", count - 1) .. "]", { ["Content-Type"] = "application/json" });
		assert.equal(201, answer.status, answer.body:sub(1, 300));
		assert_all_arrived();
	end);

	it("with a bad line near its end sends nothing", function ()
		for _, bad in ipairs { 1, 5000, 9999, 10000 } do
			local answer = post("/msg", lines(count, bad), ndjson);
			assert.equal(422, answer.status);
			assert.same({}, world.collect()[user]);
		end
		local answer = post("/msg", (lines(count):gsub('"n9999"}', '"n9999"', 1)), ndjson);
		assert.equal(400, answer.status);
		assert.equal(9999, json.decode(answer.body).line);
		assert.same({}, world.collect()[user]);
	end);

	it("is rejected if it has too many messages or recipients, or is too large after decoding", function ()
		assert.equal(422, post("/msg", lines(count + 1), ndjson).status);
		local to = {};
		for i = 1, 101 do to[i] = "u" .. i .. "@echo.example.com"; end
		assert.equal(422, post("/msg", json.encode { { to = to, body = "x" } }, { ["Content-Type"] = "application/json" }).status);
		table.remove(to);
		assert.equal(201, post("/msg", json.encode { { to = to, body = "x" } }, { ["Content-Type"] = "application/json" }).status);
		local bomb = gzip((" "):rep(11 * 1024 * 1024) .. lines(1));
		assert.equal(413, post("/msg", bomb, { ["Content-Type"] = "application/x-ndjson", ["Content-Encoding"] = "gzip" }).status);
		assert.same({}, world.collect()[user]);
	end);

	it("that is being sent when the module is reloaded ends with 503, and its first messages have arrived", function ()
		local sent = wire.send(request("/msg", lines(count), ndjson));
		world.receive(user);
		assert(world.module("reload"));
		local answer = assert(sent:answer());
		local arrived = world.collect()[user];
		assert.is_true(answer.status == 503 or answer.status == 201 and #arrived == count - 1, "answered " .. answer.status);
		for i, raw in ipairs(arrived) do
			if body_of(raw) ~= ("number %d of many"):format(i + 1) then error(("in place %d: %s"):format(i + 1, raw)); end
		end
	end);

	it("whose client hangs up causes no error", function ()
		local sent = wire.send(request("/msg", lines(count), ndjson));
		world.receive(user);
		sent:hang_up();
		assert.equal(201, post("/msg/user", "the end").status);
		world.collect();
		assert.same({}, world.errors());
	end);
end);

describe("an idempotency key", function ()
	local ledger = "/tmp/post_msg-ledger-" .. math.floor(socket.gettime() * 1000);
	local root = os.getenv("PROSODY_ROOT") or "";

	lazy_setup(function ()
		world.start({
			components = ("Component 'echo.example.com' 'spec_echo'\nComponent 'ledger.example.com' 'spec_ledger'\n\tspec_ledger = %q"):format(ledger);
		});
		world.login(user);
	end);
	lazy_teardown(function () os.remove(root .. ledger); end);

	local function with(key, body, more)
		local headers = { ["Idempotency-Key"] = key };
		for name, value in pairs(more or {}) do headers[name] = value; end
		return request("/msg/user", body or "hello", headers);
	end

	it("of a request that is not finished: 409, and afterwards its answer", function ()
		local first = wire.send(with("under-way", "hello", { ["Prefer"] = "wait=30" }));
		local raw = world.receive(user);
		assert.equal(409, world.http(with("under-way", "hello", { ["Prefer"] = "wait=30" })).status);
		assert.equal(409, world.http(with("under-way")).status);
		assert.equal(201, world.http(with("another")).status);
		assert.equal("hello", body_of(world.receive(user)));
		world.send(user, receipt_for(raw));
		assert.equal(200, assert(first:answer()).status);
		assert.equal(200, world.http(with("under-way", "hello", { ["Prefer"] = "wait=30" })).status);
		assert.same({}, world.collect()[user]);
	end);

	it("of many requests at once: one of them is sent", function ()
		for round = 1, 5 do
			local all = {};
			for i = 1, 30 do all[i] = with("at-once-" .. round, "once " .. round); end
			local passed = 0;
			for _, answer in ipairs(wire.answers(wire.send_all(all))) do
				if answer.status == 201 then passed = passed + 1; else assert.equal(409, answer.status); end
			end
			assert.is_true(passed >= 1);
			assert.equal(1, #world.collect()[user]);
		end
	end);

	it("whose client disconnected during the request: sent once, and answered afterwards", function ()
		local first = wire.send(with("hung-up", "hello", { ["Prefer"] = "wait=2" }));
		local raw = world.receive(user);
		first:hang_up();
		world.send(user, receipt_for(raw));
		wire.await("an answer other than 409", function ()
			local answer = world.http(with("hung-up", "hello", { ["Prefer"] = "wait=2" }));
			assert.is_true(answer.status == 409 or answer.status == 200 or answer.status == 202, "answered " .. answer.status);
			return answer.status ~= 409;
		end);
		assert.same({}, world.collect()[user]);
	end);

	it("is known after a reload, an unload and a restart, and another payload is then rejected too", function ()
		local answer = world.http(with("kept", "kept", { ["Accept"] = "application/json" }));
		assert.equal(201, answer.status);
		assert.equal("kept", body_of(world.receive(user)));
		local function assert_known()
			local again = world.http(with("kept", "kept", { ["Accept"] = "application/json" }));
			assert.equal(201, again.status);
			assert.same(json.decode(answer.body), json.decode(again.body));
			assert.equal(422, world.http(with("kept", "something else")).status);
			assert.same({}, world.collect()[user]);
		end
		assert_known();
		assert(world.module("reload"));
		assert_known();
		assert(world.module("unload"));
		assert(world.module("load"));
		assert_known();
		world.restart();
		world.login(user);
		assert_known();
		world.kill();
		world.restart();
		world.login(user);
		assert_known();
	end);

	it("belongs to one sender, on every host", function ()
		local carol = { ["Authorization"] = world.basic("carol@second.example") };
		assert.equal(201, world.http(with("mine", "hello")).status);
		assert.equal(201, world.http(with("mine", "of carol", carol)).status);
		assert.equal(201, world.http(with("mine", "of carol", carol)).status);
		assert.equal(2, #world.collect()[user]);
	end);

	it("keeps a batch from being sent twice", function ()
		local body = {};
		for i = 1, 500 do body[i] = json.encode { body = "batch " .. i }; end
		body = table.concat(body, "\n");
		for _ = 1, 3 do
			assert.equal(201, world.http(with("batch", body, { ["Content-Type"] = "application/x-ndjson" })).status);
		end
		assert.equal(500, #world.collect()[user]);
	end);

	it("delivers every message, and each answered message exactly once, although Prosody is killed", function ()
		local connections = 4;
		local function keyed(number)
			local all = request("/msg/xmpp:all@ledger.example.com", "round 00000000", { ["Idempotency-Key"] = "kill-00000000" });
			return (all:gsub("00000000", number));
		end
		local function times()
			local found = {};
			local file = io.open(root .. ledger, "r");
			if not file then return found; end
			for line in file:lines() do found[line] = (found[line] or 0) + 1; end
			file:close();
			return found;
		end
		math.randomseed(20261122);
		for _ = 1, 6 do
			local baseline = times();
			world.flow(keyed("00000000"), connections);
			world.flow_on(math.random(1, 150));
			socket.sleep(math.random() * 0.01); -- at a random time
			world.kill();
			local answers = world.flow_stop();
			world.restart();
			local in_flight = times();
			local twice, total = 0, 0;
			for status, numbers in pairs(answers) do
				assert.is_true(status == "201" or status == "0", "answered " .. status);
				for _, number in ipairs(numbers) do
					local name = ("%08d"):format(number);
					if status == "201" then assert.equal(1, in_flight["round " .. name], "answered 201, and arrived"); end
					-- Repeats all requests without an answer, and some of the others, which must not arrive again.
					if status == "0" or number % 5 == 0 then
						local first, second = world.http(keyed(name) .. keyed(name), 2, "repeat");
						assert.equal(201, first.status);
						assert.equal(201, second.status);
					end
				end
			end
			world.hang_up("repeat");
			local after = times();
			for status, numbers in pairs(answers) do
				for _, number in ipairs(numbers) do
					local line = ("round %08d"):format(number);
					local arrived = after[line] or 0;
					assert.is_true(arrived == 1 or status == "0" and in_flight[line] == 1 and arrived == 2,
						("%s, answered %s, arrived %d times"):format(line, status, arrived));
					if arrived == 2 then twice = twice + 1; end
					total = total + 1;
					baseline[line], after[line] = nil, nil;
				end
			end
			for line, count in pairs(after) do assert.equal(baseline[line], count, line); end
			assert.is_true(twice <= connections, twice .. " messages arrived twice");
			assert.is_true(total > 0);
		end
	end);

	it("causes no error in the log", function ()
		assert.same({}, world.errors());
	end);
end);
