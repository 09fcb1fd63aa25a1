-- The resources of large batches: the event loop, memory, a token's rate; and their answers.

local json = require "dkjson";
local socket = require "socket";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local user, carol = "user@example.com", "carol@second.example";
-- An archive and a debug log would take more time than the messages themselves.
local quick = 'modules_disabled = { "tls", "s2s", "mam" }\n';
local ndjson, json_type = "application/x-ndjson", "application/json";

local function request(body, headers, path)
	headers = headers or {};
	headers["Content-Type"] = headers["Content-Type"] or ndjson;
	return world.request(path or "/msg", body, headers);
end

local function post(...)
	return world.http(request(...));
end

-- Lines of NDJSON: messages to these addresses, in turn.
local function lines(count, ...)
	local to, found = { ... }, {};
	for i = 1, count do
		found[i] = json.encode { to = to[(i - 1) % #to + 1], body = "number " .. i, id = "n" .. i };
	end
	return table.concat(found, "\n");
end

-- Counts messages inside the server: the accounts in the order of their messages, and the number of messages in each callback of the event
-- loop. Between two callbacks, the loop looks for readable connections.
local function count_messages()
	world.lua [[
		local seen = { order = {}, callbacks = {}, now = 0 };
		prosody.spec_batches = seen;
		for _, host in ipairs { "example.com", "second.example" } do
			prosody.hosts[host].events.add_handler("pre-message/bare", function (event)
				seen.now = seen.now + 1;
				seen.order[#seen.order + 1] = event.origin.username;
			end, 1000);
		end
		local methods = debug.getmetatable(require "util.poll".new()).__index;
		local wait = methods.wait;
		function methods.wait(...)
			if seen.now > 0 then
				seen.callbacks[#seen.callbacks + 1] = seen.now;
				seen.now = 0;
			end
			return wait(...);
		end
	]];
end

-- The counts since the last call. > { order = { username, … }, callbacks = { number, … } in order of size }
local function counted()
	local record = world.lua [[
		local seen = prosody.spec_batches;
		local found = { order = table.concat(seen.order, " "), callbacks = seen.callbacks };
		seen.order, seen.callbacks, seen.now = {}, {}, 0;
		return found;
	]];
	local order = {};
	for name in record.order:gmatch("%S+") do order[#order + 1] = name; end
	table.sort(record.callbacks);
	return { order = order, callbacks = record.callbacks };
end

local function assert_statuses(status, answers)
	for _, answer in ipairs(answers) do assert.equal(status, answer.status, answer.body:sub(1, 300)); end
end

describe("batches at once", function ()
	lazy_setup(function ()
		world.start({ extra = quick, level = "info" });
		world.login(user);
		-- From here on, the passwords are cached.
		assert.equal(201, post(lines(1, "sink@echo.example.com")).status);
		assert.equal(201, post(lines(1, "sink@echo.example.com"), { ["Authorization"] = world.basic(carol) }).status);
		count_messages();
	end);

	lazy_teardown(function ()
		assert.same({}, world.errors());
		world.stop();
	end);

	it("share one slice of a turn of the event loop", function ()
		local function typical(batches) --> messages in a callback
			counted();
			local body, requests = lines(500, "sink@echo.example.com"), {};
			for i = 1, batches do requests[i] = request(body); end
			assert_statuses(201, wire.answers(wire.send_all(requests)));
			local record = counted();
			assert.equal(500 * batches, #record.order);
			return record.callbacks[math.ceil(#record.callbacks / 2)];
		end
		local alone, together = typical(1), typical(20);
		assert.is_true(together <= 3 * alone + 3, ("%d messages in a callback, %d of a batch alone"):format(together, alone));
	end);

	it("yield between the recipients of one large message", function ()
		counted();
		local to = {};
		for i = 1, 100 do to[i] = "sink" .. i .. "@echo.example.com"; end
		local body = json.encode { to = to, html = ("<p/>"):rep(1000) .. "x" };
		assert.equal(201, post(body, { ["Content-Type"] = json_type }).status);
		local record = counted();
		assert.equal(100, #record.order);
		local maximum = record.callbacks[#record.callbacks];
		assert.is_true(maximum <= 10, maximum .. " messages in a callback");
	end);

	it("take turns by account: one batch is as fast whether another account sends one or many", function ()
		counted();
		local requests = {};
		for i = 1, 20 do requests[i] = request(lines(500, "sink@echo.example.com")); end
		requests[21] = request(lines(500, "sink@echo.example.com"), { ["Authorization"] = world.basic(carol) });
		assert_statuses(201, wire.answers(wire.send_all(requests)));
		local first, last, others = nil, nil, 0;
		local order = counted().order;
		for index, name in ipairs(order) do
			if name == "carol" then first, last = first or index, index; end
		end
		for index = first, last do
			if order[index] ~= "carol" then others = others + 1; end
		end
		assert.is_true(others < 4 * 500, others .. " messages of another account went between the first and the last of 500");
	end);

	it("that wait for receipts are bounded for each account, before anything is sent", function ()
		counted();
		local body, waits = lines(10000, "sink@echo.example.com"), { ["Prefer"] = "wait=3" };
		local sent = wire.send_all { request(body, waits), request(body, waits) };
		wire.await("20,000 messages", function ()
			return world.lua("return #prosody.spec_batches.order") == 20000;
		end);
		local refused = post(lines(1, "sink@echo.example.com"), waits);
		assert.equal(503, refused.status);
		assert.equal("1", refused.headers["retry-after"]);
		assert.is_truthy(refused.body:find("20000 messages", 1, true), refused.body);
		-- A single message, another account, and a batch that waits for nothing.
		assert.equal(202, post("hello", { ["Prefer"] = "wait=1", ["Content-Type"] = "text/plain" }, "/msg/sink@echo.example.com").status);
		assert.equal(202, post(lines(1, "sink@echo.example.com"), { ["Prefer"] = "wait=1", ["Authorization"] = world.basic(carol) }).status);
		assert.equal(201, post(lines(1, "sink@echo.example.com")).status);
		assert_statuses(202, wire.answers(sent));
		assert.equal(20003, #counted().order);
		assert.equal(202, post(lines(1, "sink@echo.example.com"), { ["Prefer"] = "wait=1" }).status);
	end);

	it("stop when the sender's host is deactivated: the answer names each unsent message, and a key keeps the answer", function ()
		counted();
		world.lua [[
			local events, count = prosody.hosts["second.example"].events, 0;
			events.add_handler("pre-message/bare", function ()
				count = count + 1;
				if count == 500 then
					require "util.timer".add_task(0, function () require "core.hostmanager".deactivate("second.example"); end);
				end
			end);
		]];
		local headers = {
			["Authorization"] = world.basic(carol), ["Accept"] = json_type, ["Idempotency-Key"] = "deactivated", ["Prefer"] = "wait=1";
		};
		local body = lines(9000, "sink@echo.example.com");
		local answer = post(body, headers);
		assert.equal(207, answer.status, answer.body:sub(1, 300));
		local sent = #counted().order;
		assert.is_true(sent >= 500 and sent < 9000, sent .. " were sent");
		local outcomes = json.decode(answer.body);
		assert.equal(9000, #outcomes);
		for i, outcome in ipairs(outcomes) do
			assert.equal(i <= sent and "sent" or "failed", outcome.status);
			if i > sent then assert.equal(503, outcome.error.status); end
		end
		world.lua [[ require "core.hostmanager".activate("second.example") ]];
		assert.equal(207, post(body, headers).status);
		assert.equal(0, #counted().order);
	end);
end);

describe("batches of several hosts", function ()
	local names = { "example.com", "second.example" };

	lazy_setup(function ()
		local options = world.defaults();
		for i = 1, 8 do
			names[#names + 1] = "host" .. i .. ".example";
			options.hosts[names[#names]] = { accounts = {} };
		end
		options.extra, options.level = quick, "info";
		world.start(options);
		for _, host in ipairs(names) do assert.equal(201, post(lines(1, "sink@echo.example.com"), { ["Host"] = host }).status); end
		-- Counts the messages between two reads of the same connection. A timer lets the server read the others.
		world.lua [[
			local seen = { passes = {}, now = 0 };
			prosody.spec_batches = seen;
			prosody.hosts["example.com"].events.add_handler("pre-message/bare", function () seen.now = seen.now + 1; end, 1000);
			local socket, server, timer = require "socket", require "net.server", require "util.timer";
			local listener = assert(socket.bind("127.0.0.1", 0));
			local near = assert(socket.connect("127.0.0.1", (select(2, listener:getsockname()))));
			local far = assert(listener:accept());
			local looks = 0;
			server.watchfd(near:getfd(), function ()
				near:receive(1);
				looks = looks + 1;
				if seen.now > 0 then seen.passes[#seen.passes + 1] = seen.now; end
				seen.now = 0;
				if looks % 10 > 0 then far:send("x"); end
			end);
			seen.sockets = { listener, near, far };
			timer.add_task(0, function () far:send("x"); return 0.001; end);
		]];
	end);

	lazy_teardown(function ()
		assert.same({}, world.errors());
		world.stop();
	end);

	it("share one slice too", function ()
		local function typical(hosts) --> messages between two looks
			world.lua [[ prosody.spec_batches.passes, prosody.spec_batches.now = {}, 0; ]];
			local requests = {};
			for i = 1, hosts do requests[i] = request(lines(500, "sink@echo.example.com"), { ["Host"] = names[i] }); end
			assert_statuses(201, wire.answers(wire.send_all(requests)));
			local passes = world.lua [[ return prosody.spec_batches.passes ]];
			table.sort(passes);
			return passes[math.ceil(#passes / 2)];
		end
		-- Other programs of the machine may take a slice away from one of the two: then they are measured again.
		local one, all;
		for _ = 1, 5 do
			one, all = typical(1), typical(#names);
			if all <= 3 * one + 3 then return; end
		end
		error(("%d messages between two looks, %d of one host alone"):format(all, one));
	end);
end);

describe("a long answer", function ()
	-- Each of these takes some 600 bytes in an answer in JSON.
	local long = ("r"):rep(500);

	lazy_setup(function ()
		world.start({ extra = quick, level = "info" });
		world.login(user);
	end);

	lazy_teardown(function ()
		assert.same({}, world.errors());
		world.stop();
	end);

	-- Reads all of an answer slowly, and another on the same connection.
	local function read_slowly(body, headers)
		local sent = wire.send(request(body, headers));
		sent.connection:send(world.request("/msg/sink@echo.example.com", "behind it"));
		local kept = setmetatable({ hang_up = function () end }, { __index = sent });
		local answer = assert(kept:answer());
		assert.equal(201, assert(kept:answer()).status);
		sent:hang_up();
		return answer;
	end

	it("of 6 MB arrives completely, and the connection stays open", function ()
		local answer = read_slowly(lines(10000, "sink@echo.example.com/" .. long), { ["Accept"] = json_type });
		assert.equal(201, answer.status);
		assert.is_true(#answer.body > 5 * 1024 * 1024);
		local outcomes = json.decode(answer.body);
		assert.equal(10000, #outcomes);
		assert.equal("n10000", outcomes[10000].id);
	end);

	it("with different or equal problems arrives completely, in JSON and in text", function ()
		for _, form in ipairs { json_type, "text/plain" } do
			local to = { "bounce.gone@echo.example.com/" .. long, "bounce.conflict@echo.example.com/" .. long };
			local answer = read_slowly(lines(3000, to[1], to[2]), { ["Accept"] = form });
			assert.equal(207, answer.status);
			assert.is_true(#answer.body > 1024 * 1024);
			if form == json_type then
				local outcomes = json.decode(answer.body);
				assert.equal(3000, #outcomes);
				assert.equal("conflict", outcomes[3000].error.condition);
			else
				assert.equal(3000, select(2, answer.body:gsub("\n", "")));
			end
			answer = read_slowly(lines(3000, to[1]), { ["Accept"] = form });
			assert.equal(410, answer.status);
			if form == json_type then
				local problem = json.decode(answer.body);
				assert.equal(3000, #problem.outcomes);
				assert.equal("gone", problem.condition);
			end
		end
	end);

	it("causes no error if its client disconnects before its end", function ()
		local sent = wire.send(request(lines(10000, "sink@echo.example.com/" .. long), { ["Accept"] = json_type }));
		assert(sent.connection:receive(100000));
		sent:hang_up();
		assert.equal(201, post(lines(1, user)).status);
		world.receive(user);
	end);

	it("is kept with its status for a key, and a repeated request sends nothing", function ()
		local headers = { ["Accept"] = json_type, ["Idempotency-Key"] = "long" };
		local body = lines(3000, "sink@echo.example.com/" .. long) .. "\n" .. lines(0, user);
		assert.equal(3000, #json.decode(post(body, headers).body));
		local again = post(body, headers);
		assert.equal(201, again.status);
		assert.is_truthy(again.body:find("too large to be kept", 1, true), again.body);
	end);

	it("that the client does not read counts against the memory of its account, until its connection ends", function ()
		local drop = world.lua([[
			prosody.hosts["example.com"].events.add_handler("pre-message/bare", function () return true; end, 1000);
			return true]]);
		assert.is_true(drop);
		local to, found, sent = {}, {}, {};
		for i = 1, 100 do to[i] = "u" .. i .. "@echo.example.com"; end
		for i = 1, 78 do found[i] = json.encode { to = to, body = "x", id = ("i"):rep(1000) }; end
		local body, address = table.concat(found, "\n"), "me@example.com/" .. ("r"):rep(1000);
		world.password[address] = world.password["me@example.com"];
		local authorization = world.basic(address);
		world.password[address] = nil;
		local refused;
		for i = 1, 5 do
			sent[i] = wire.send(request(body, { ["Accept"] = json_type, ["Authorization"] = authorization }));
			local status = assert(sent[i].connection:receive("*l")):match(" (%d+) ");
			if status ~= "201" then
				refused = { status = status; count = i - 1 };
				break;
			end
		end
		assert.equal("503", refused and refused.status);
		assert.is_true(refused.count >= 2, refused.count .. " answers");
		assert.equal(201, post(lines(2, user)).status);
		for _, other in ipairs(sent) do other:hang_up(); end
		local deadline = socket.gettime() + 20;
		local answer;
		repeat
			answer = post(body, { ["Accept"] = "text/plain", ["Authorization"] = authorization });
		until answer.status == 201 or socket.gettime() > deadline;
		assert.equal(201, answer.status, answer.body);
	end);

	it("with more than 16 MiB of addresses is refused before anything is sent", function ()
		local to, found = {}, {};
		for i = 1, 100 do to[i] = i == 100 and user or "u" .. i .. "@echo.example.com"; end
		for i = 1, 100 do found[i] = json.encode { to = to, body = "x", id = ("i"):rep(900) }; end
		local address = "me@example.com/" .. ("r"):rep(900);
		world.password[address] = world.password["me@example.com"];
		local answer = post(table.concat(found, "\n"), { ["Authorization"] = world.basic(address) });
		world.password[address] = nil;
		assert.equal(413, answer.status, answer.body);
		assert.is_truthy(answer.body:find("send fewer messages", 1, true), answer.body);
		assert.same({}, world.collect()[user]);
	end);
end);

describe("a request to many", function ()
	lazy_setup(function ()
		world.start();
		world.login(user);
	end);

	lazy_teardown(function ()
		assert.same({}, world.errors());
		world.stop();
	end);

	it("with more than 64 MiB of messages is refused before anything is sent", function ()
		local to = { user };
		for i = 2, 100 do to[i] = "sink" .. i .. "@echo.example.com"; end
		local message = json.encode { to = to, body = ("x"):rep(190000) };
		local answer = post(message .. "\n" .. message .. "\n" .. message .. "\n" .. message);
		assert.equal(413, answer.status, answer.body);
		assert.is_truthy(answer.body:find("more than 67108864 bytes together; send them in several requests", 1, true), answer.body);
		assert.same({}, world.collect()[user]);
	end);

	it("of the largest size reaches all", function ()
		local to = { user };
		for i = 2, 100 do to[i] = "sink" .. i .. "@echo.example.com"; end
		assert.equal(201, post(json.encode { to = to, body = ("x"):rep(190000) }).status);
		assert.is_true(#world.receive(user) > 190000);
	end);
end);

describe("a token's rate", function ()
	lazy_setup(function ()
		world.start({
			components = [[
Component "upload.example.com" "http_file_share"
	http_host = "127.0.0.1"
	http_file_share_size_limit = 1000
Component "echo.example.com" "spec_echo"
]];
		});
		world.login(user);
	end);

	lazy_teardown(function ()
		assert.same({}, world.errors());
		world.stop();
	end);

	it("does not count a request whose upload is refused, and counts a message that bounces", function ()
		local out = world.prosodyctl { "mod_post_msg", "token", "add", "me@example.com", "--rate", "2" };
		local bearer = "Bearer " .. out:match("([^\n]*)\n$");
		local function send(body, media_type, to)
			return post(body, { ["Authorization"] = bearer, ["Content-Type"] = media_type }, "/msg/" .. (to or "user")).status;
		end
		for _ = 1, 5 do assert.equal(413, send(("x"):rep(2000), "image/png")); end
		assert.equal(201, send("one", "text/plain"));
		assert.equal(410, send("two", "text/plain", "bounce.gone@echo.example.com"));
		assert.equal(429, send("three", "text/plain"));
		assert.is_truthy(world.receive(user):find("<body>one</body>", 1, true));
	end);
end);
