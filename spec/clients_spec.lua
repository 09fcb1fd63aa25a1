-- Clients that misbehave: their answers, the state of the server, and the ping of another user during the fault.

local faults = require "spec.support.faults";
local socket = require "socket";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local user = "user@example.com";
local idle; -- the pings while nothing happens, as words

-- Both processes that this one starts need the same number of file descriptors.
local many = 5000;
os.execute(("prlimit --pid $PPID --nofile=%d 2>/dev/null || prlimit --pid $PPID --nofile=$(ulimit -Hn)"):format(4 * many));

local service = [[
Component "upload.example.com" "http_file_share"
	http_host = "127.0.0.1"
	http_file_share_daily_quota = 1024 * 1024 * 1024
Component "rooms.example.com" "muc"
	muc_room_locking = false
Component "echo.example.com" "spec_echo"
]];

local function start(extra)
	local options = world.defaults();
	options.hosts["example.com"].accounts.pinger = "secret";
	options.hosts["example.com"].modules = { "post_msg", "http_openmetrics" };
	-- No archive: its growth would look like a leak.
	options.extra = 'modules_disabled = { "tls", "s2s", "mam" }\nstatistics = "internal"\nstatistics_interval = "manual"\n'
		.. (extra or "");
	options.components = service;
	options.level = "info";
	world.start(options);
	world.login(user);
	world.ping_on("pinger");
	assert.equal(201, world.http(world.request("/msg/user", "The password is known from here on")).status);
	world.collect();
end

local function request(body, headers, path)
	return world.request(path or "/msg/user", body, headers);
end

local function open()
	local connection = assert(socket.connect("127.0.0.1", world.server.http_port));
	connection:settimeout(20);
	connection:setoption("tcp-nodelay", true);
	return connection;
end

-- A connection whose answers can be read.
local function reader(connection) return setmetatable({ connection = connection, hang_up = function () end }, { __index = wire }); end

-- Closes a connection by a reset.
local function reset(connection)
	connection:setoption("linger", { on = true, timeout = 0 });
	connection:close();
end

-- The file descriptors of Prosody.
local function descriptors() --> number
	local pipe = assert(io.popen(("ls /proc/$(cat '%s/prosody.pid')/fd | wc -l"):format(world.server.dir)));
	local count = pipe:read("*n");
	pipe:close();
	return count;
end

-- Opens connections, a few at a time: a connection that does not fit into the backlog takes a second.
local function open_all(count)
	local items, before = {}, descriptors();
	for number = 1, count do
		items[number] = open();
		if number % 100 == 0 then
			wire.await("all to be accepted", function () return descriptors() > before + number - 50; end);
		end
	end
	return items;
end

local function metric(name) --> number
	local answer = world.http("GET /metrics HTTP/1.1\r\nHost: example.com\r\n\r\n");
	return tonumber(answer.body:match("\nprosody_mod_post_msg__" .. name .. '{host="example.com"} (%S+)'));
end

-- Kilobytes that Lua holds in Prosody.
local function memory() --> number
	return world.lua("collectgarbage() collectgarbage() return collectgarbage('count')");
end

local function words_of(pings)
	return ("%.1f/%.0f"):format(pings[math.ceil(#pings / 2)], pings[#pings]);
end

-- The texts that have arrived, each with how often.
local function arrived() --> table, number
	local messages, trouble = world.collect();
	assert.same({}, trouble);
	local texts, count = {}, 0;
	for _, raw in ipairs(messages[user]) do
		local text = raw:match("<body>(.-)</body>");
		texts[text] = (texts[text] or 0) + 1;
		count = count + 1;
	end
	return texts, count;
end

-- The recipient of a message sends a receipt.
local function confirm(raw)
	world.send(user, "<message to='me@example.com' id='r'><received xmlns='urn:xmpp:receipts' id='" .. raw:match("id='([^']+)'") .. "'/></message>");
	world.ping(user);
end

-- A fault, with pings during it. Afterwards, file descriptors, waiting requests, memory and log must be the same as before. With `so_far`,
-- the fault continues after the test, and only `so_far` and the pings are checked.
local function show(fault, expected, try, so_far)
	faults.show(fault, expected, function ()
		world.collect();
		local mark, files, kilobytes = world.log_mark(), descriptors(), memory();
		world.pinged();
		local record = try();
		local pings = world.pinged();
		local answer_text = ("%s; ping %s ms (idle %s)"):format(record, words_of(pings), idle);
		if so_far then
			assert.is_true(so_far());
			return answer_text;
		end
		wire.await("as few file descriptors as before", function () return descriptors() <= files; end);
		wire.await("no request that waits", function () return metric("requests_waiting") == 0; end);
		wire.await("memory", function () return memory() < kilobytes + 500; end);
		assert.same({}, world.errors(mark));
		assert.equal(201, world.http(request("after it")).status);
		return answer_text;
	end);
end

-- Reads the answers of all these connections: each has this status. > their number, in words
local function assert_answers(connections, status)
	for _, connection in ipairs(connections) do
		local answer, err = reader(connection):answer();
		assert.equal(status, answer and answer.status, err or answer.body);
		connection:close();
	end
	return ("%d × %d"):format(#connections, status);
end

-- A request on each of these connections.
local function use(connections)
	for _, connection in ipairs(connections) do assert(connection:send(request("hello"))); end
	return assert_answers(connections, 201);
end

describe("a client", function ()
	lazy_setup(function ()
		start();
		use(open_all(many)); -- tables do not shrink: now the tables of connections have their largest size
		world.collect();
		wire.await("the end of all", function () return descriptors() < 100; end);
		world.pinged();
		socket.sleep(2); -- the pings of this time are measured
		idle = words_of(world.pinged());
	end);
	lazy_teardown(world.stop);

	-- One byte of each per second, until all is sent.
	local function drip(connections, texts)
		for at = 1, #texts[1] do
			for number, connection in ipairs(connections) do assert(connection:send(texts[number]:sub(at, at))); end
			socket.sleep(1); -- this is the fault
		end
	end

	show("300 clients send a body of a byte a second", "201 each, all arrive", function ()
		local connections, bodies = open_all(300), {};
		for number, connection in ipairs(connections) do
			bodies[number] = ("%05d"):format(number);
			assert(connection:send((request(bodies[number]):gsub("%d+$", ""))));
		end
		drip(connections, bodies);
		local record = assert_answers(connections, 201);
		local texts = arrived();
		for _, body in ipairs(bodies) do assert.equal(1, texts[body], body); end
		return record;
	end);

	show("300 clients send headers of a byte a second", "201 to each client that finishes; another client is answered meanwhile", function ()
		local connections, pieces = open_all(300), {};
		local head, rest = request("slow", { ["X-Slow"] = "12345" }):match("^(.*X%-Slow: )12345(.*)$");
		for number, connection in ipairs(connections) do
			assert(connection:send(head));
			pieces[number] = "12345";
		end
		drip(connections, pieces);
		assert.equal(201, world.http(request("meanwhile")).status);
		for number = 1, 150 do assert(connections[number]:send(rest)); end
		for _ = 1, 150 do table.remove(connections):close(); end
		local record = assert_answers(connections, 201);
		local texts = arrived();
		assert.same({ slow = 150, meanwhile = 1 }, texts);
		return record .. ", 150 gave up";
	end);

	-- Prosody treats a half-closed connection as closed, and then loses its unwritten data.
	show("50 half-closed: all sent, then the sending side closed", "each arrives once; Prosody may lose the answer", function ()
		local connections, answered = open_all(50), 0;
		for _, connection in ipairs(connections) do
			assert(connection:send(request("half-closed")));
			connection:shutdown("send");
		end
		for _, connection in ipairs(connections) do
			local answer = reader(connection):answer();
			if answer then
				assert.equal(201, answer.status);
				answered = answered + 1;
			end
			connection:close();
		end
		assert.same({ ["half-closed"] = 50 }, (arrived()));
		return answered .. " answers of 50";
	end);

	show("half-closed during a wait for a receipt, with a key", "sent once; 200 when the request is repeated", function ()
		local connection = open();
		local keyed = request("half-closed", { ["Prefer"] = "wait=30", ["Idempotency-Key"] = "half-closed" });
		assert(connection:send(keyed));
		local raw = world.receive(user);
		connection:shutdown("send");
		local answer = reader(connection):answer();
		connection:close();
		confirm(raw);
		local status;
		wire.await("the end of the first request", function ()
			status = world.http(keyed).status;
			return status ~= 409;
		end);
		assert.equal(200, status);
		assert.same({}, (arrived()));
		return answer and "answered" or "no answer at first, then 200";
	end);

	local idlers;

	show(("%d idle connections"):format(many), "another client is answered 201", function ()
		idlers = open_all(many);
		socket.sleep(2); -- the pings of this time are measured
		assert.equal(201, world.http(request("another")).status);
		assert.same({ another = 1 }, (arrived()));
		return "201";
	end, function () return descriptors() > many; end);

	show("the 5000 idle connections all post at once", "201 each, all arrive", function ()
		local record = use(idlers);
		idlers = nil;
		wire.await("the end of all", function () return descriptors() < 100; end);
		assert.same({ hello = many }, (arrived()));
		return record;
	end);

	show("100 requests in one packet (pipelining)", "201 each, in order", function ()
		local requests, expected = {}, {};
		for number = 1, 100 do
			expected[number] = ("p-%03d"):format(number);
			requests[number] = request(expected[number], { ["X-Request-Id"] = expected[number] });
		end
		local connection = open();
		assert(connection:send(table.concat(requests)));
		for _, id in ipairs(expected) do
			local answer = assert(reader(connection):answer());
			assert.equal(201, answer.status);
			assert.equal(id, answer.headers["x-request-id"]);
		end
		connection:close();
		local messages = world.collect()[user];
		assert.equal(100, #messages);
		for number, raw in ipairs(messages) do assert.equal(expected[number], raw:match("<body>(.-)</body>")); end
		return "100 × 201, in order";
	end);

	show("1000 requests with a key each, without waiting for answers", "201 each", function ()
		local requests = {};
		for number = 1, 1000 do requests[number] = request(tostring(number), { ["Idempotency-Key"] = "pipelined-" .. number }); end
		local connection = open();
		assert(connection:send(table.concat(requests)));
		for _ = 1, 1000 do assert.equal(201, assert(reader(connection):answer()).status); end
		connection:close();
		assert.equal(1000, #world.collect()[user]);
		return "1000 × 201";
	end);

	show("pipelining after a request that waits for a receipt", "202, then 401, then 201", function ()
		local connection = open();
		assert(connection:send(request("first", { ["Prefer"] = "wait=1" }) .. request("no", { ["Authorization"] = "Basic bWU6d3Jvbmc=" })
			.. request("second")));
		for _, status in ipairs { 202, 401, 201 } do assert.equal(status, assert(reader(connection):answer()).status); end
		connection:close();
		assert.same({ first = 1, second = 1 }, (arrived()));
		return "202, 401, 201";
	end);

	show("20 MB of requests, without waiting for answers, after a request that waits", "not read before its answer; then 201 each", function ()
		local behind = {};
		for number = 1, 200 do behind[number] = request(("%03d"):format(number) .. (" "):rep(100000)); end
		behind = table.concat(behind);
		local kilobytes = memory();
		local connection = open();
		assert(connection:send(request("waits", { ["Prefer"] = "wait=60" })));
		wire.await("the request to wait", function () return metric("requests_waiting") == 1; end);
		connection:settimeout(0.5);
		local _, err, sent = connection:send(behind);
		assert.equal("timeout", err);
		local addition = memory() - kilobytes;
		assert.equal(1, metric("requests_waiting"));
		assert.is_true(addition < 1000, addition .. " kB");
		connection:settimeout(20);
		confirm(world.collect()[user][1]);
		assert(connection:send(behind, sent + 1));
		assert.equal(200, assert(reader(connection):answer()).status);
		for _ = 1, 200 do assert.equal(201, assert(reader(connection):answer()).status); end
		connection:close();
		assert.equal(200, select(2, arrived()));
		return ("%.1f MB in memory meanwhile; 200, 200 × 201"):format(addition / 1000);
	end);

	show("HTTP/1.0, with keep-alive and without", "201; kept open, and closed", function ()
		local old = request("old"):gsub("HTTP/1%.1", "HTTP/1.0");
		local connection = open();
		for _ = 1, 3 do
			assert(connection:send((old:gsub("\r\n", "\r\nConnection: keep-alive\r\n", 1))));
			local answer = assert(reader(connection):answer());
			assert.equal(201, answer.status);
			assert.equal("keep-alive", answer.headers.connection:lower());
		end
		assert(connection:send(old));
		assert.equal(201, assert(reader(connection):answer()).status);
		assert.equal("closed", select(2, connection:receive(1)));
		assert.same({ old = 4 }, (arrived()));
		return "201; kept open, and closed";
	end);

	show("300 resets during a wait for a receipt", "nothing waits, no error; a key's answer is kept", function ()
		local connections = open_all(300);
		for _, connection in ipairs(connections) do assert(connection:send(request("waits", { ["Prefer"] = "wait=60" }))); end
		local keyed = open();
		local with_key = request("keyed", { ["Prefer"] = "wait=60", ["Idempotency-Key"] = "reset" });
		assert(keyed:send(with_key));
		wire.await("all to wait", function () return metric("requests_waiting") == 301; end);
		for _, connection in ipairs(connections) do reset(connection); end
		reset(keyed);
		wire.await("the end of their waits", function () return metric("requests_waiting") == 1; end);
		assert.equal(409, world.http(with_key).status);
		for _, raw in ipairs(world.collect()[user]) do
			if raw:find("<body>keyed") then confirm(raw); end
		end
		local again;
		wire.await("the end of the request", function ()
			again = world.http(with_key).status;
			return again ~= 409;
		end);
		assert.equal(200, again);
		assert.same({}, (arrived()));
		return "300 freed at once; the key: 409, then 200";
	end);

	show("300 resets during a body of 1 MB", "nothing sent, no error", function ()
		local half = request(("x"):rep(1000000)):sub(1, 500000);
		for _ = 1, 300 do
			local connection = open();
			assert(connection:send(half));
			reset(connection);
		end
		assert.same({}, (arrived()));
		return "nothing sent";
	end);

	show("100 resets during the upload of a file of 1 MB", "nothing stored or sent, no error", function ()
		local mark = world.log_mark();
		local half = request(("x"):rep(1000000), { ["Content-Type"] = "image/png" }):sub(1, 500000);
		for _ = 1, 100 do
			local connection = open();
			assert(connection:send(half));
			reset(connection);
		end
		assert.same({}, (arrived()));
		assert.is_nil(world.log(mark):find("upload slot", 1, true));
		return "nothing stored or sent";
	end);
end);

-- A setting of Prosody's.
describe("with opportunistic_writes", function ()
	local service_port, silent;

	lazy_setup(function ()
		service_port = wire.free_port();
		silent = assert(socket.bind("127.0.0.1", service_port));
		silent:settimeout(20);
		start(('network_settings = { opportunistic_writes = true }\nhttp_file_share_base_url = "http://127.0.0.1:%d/x"\n'):format(service_port));
		idle = words_of(world.pinged());
	end);
	lazy_teardown(function ()
		silent:close();
		world.stop();
	end);

	show("50 half-closed, with opportunistic_writes", "201 each", function ()
		local connections = open_all(50);
		for _, connection in ipairs(connections) do
			assert(connection:send(request("half-closed")));
			connection:shutdown("send");
		end
		local record = assert_answers(connections, 201);
		assert.same({ ["half-closed"] = 50 }, (arrived()));
		return record;
	end);

	show("8 resets while the file is on its way to the service", "sent once; then other clients can upload", function ()
		local function upload() --> the client's connection, the service's
			local client = open();
			assert(client:send(request("a picture", { ["Content-Type"] = "image/png" })));
			local taken = assert(silent:accept());
			taken:settimeout(20);
			repeat until assert(taken:receive("*l")) == "";
			assert.equal("a picture", taken:receive(9));
			return client, taken;
		end
		local function take(taken)
			assert(taken:send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
			taken:close();
		end
		local items = {};
		for number = 1, 8 do
			local client, taken = upload();
			reset(client);
			items[number] = taken;
		end
		assert.equal(503, world.http(request("too many", { ["Content-Type"] = "image/png" })).status);
		for _, taken in ipairs(items) do take(taken); end
		wire.await("the end of the uploads", function () return metric("requests_waiting") == 0; end);
		local client, taken = upload();
		take(taken);
		assert_answers({ client }, 201);
		assert.equal(9, (select(2, arrived())));
		return "8 arrived, then 201";
	end);
end);
