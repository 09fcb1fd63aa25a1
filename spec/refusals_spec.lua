-- Clients whose requests are refused many times: they wait for their answers, and no other client waits.

local socket = require "socket";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local at_once = 100; -- refusals of a client that are answered without a delay

local function get(client)
	return "GET /msg/x HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: " .. client .. "\r\n\r\n";
end

local function message(client, credentials)
	return world.request("/msg/swallow@echo.example.com", "hello", { ["X-Forwarded-For"] = client, ["Authorization"] = credentials });
end

-- > the answer, and its time in seconds
local function timed(request, connection)
	local start_time = socket.gettime();
	return world.http(request, 1, connection), socket.gettime() - start_time;
end

-- The same, several times, because a busy machine may delay some; a delay by the server affects all. > the shortest time in seconds
local function quickest(status, ...)
	local least = math.huge;
	for _ = 1, 5 do
		local answer, seconds = timed(...);
		assert.equal(status, answer.status);
		least = math.min(least, seconds);
	end
	return least;
end

-- Many requests of a client at once, each on its own connection. > the answers, the number of connections that they ended
local function flood(request, count)
	local items = {};
	for i = 1, count do items[i] = request; end
	local closed = 0;
	local answers = wire.answers(wire.send_all(items));
	for _, answer in ipairs(answers) do
		if answer.headers["connection"] == "close" then closed = closed + 1; end
	end
	return answers, closed;
end

-- Sends requests, up to a maximum, until the server closes the connection. > the time of the last one in seconds
local function until_closed(request, most, connection)
	for _ = 1, most do
		local answer, seconds = timed(request, connection);
		if answer.headers["connection"] == "close" then return seconds; end
	end
	error("no connection was closed", 2);
end

teardown(world.stop);

describe("clients with too many rejected requests", function ()
	lazy_setup(function ()
		world.start();
		assert.equal(201, timed(message("192.0.2.1")).status);
	end);

	after_each(function () assert.same({}, world.errors()); end);

	it("get each answer with a delay of at most a second, whatever is rejected", function ()
		for number, request in ipairs { get("2001:db8:1:1::7"), message("2001:db8:1:2::7", false), message("2001:db8:1:3::7", "Basic x"),
			message("2001:db8:1:4::7", "Bearer x") } do
			local start_time = socket.gettime();
			local answers, closed = flood(request, 2 * at_once);
			for _, answer in ipairs(answers) do assert.is_true(answer.status >= 401 and answer.status <= 429, answer.status); end
			local seconds = socket.gettime() - start_time;
			assert.is_true(closed > 0 and closed <= at_once, closed .. " connections closed");
			assert.is_true(seconds > 0.2, ("%d: all were answered after %.3f s"):format(number, seconds));
			-- Another address of the same network is the same client.
			local wait = math.huge;
			for _ = 1, 3 do wait = math.min(wait, until_closed((request:gsub("::7", "::8")), at_once / 2)); end
			assert.is_true(wait < 2, ("the answer took %.3f s"):format(wait));
		end
	end);

	it("get no delay for a right request, and a short one for a challenge", function ()
		flood(get("192.0.2.2"), 2 * at_once);
		local seconds = quickest(201, message("192.0.2.2"));
		assert.is_true(seconds < 0.9, ("a right request took %.3f s"):format(seconds));
		assert.is_truthy(world.http(message("192.0.2.2", false)).headers["www-authenticate"]);
		seconds = quickest(401, message("192.0.2.2", false));
		assert.is_true(seconds < 2, ("a challenge took %.3f s"):format(seconds));
		-- The connection on which it waits ends with the answer, so that nobody else waits on it.
		until_closed(get("192.0.2.2"), 2 * at_once, "proxy");
		local ok, problem = pcall(world.http, get("192.0.2.2"), 1, "proxy");
		assert.is_false(ok);
		assert.is_truthy(problem:find("connection closed without an answer", 1, true) or problem:find("Connection reset", 1, true), problem);
		world.hang_up("proxy");
	end);

	it("delay no other client, even on a shared connection of a proxy", function ()
		local crowd = {};
		for i = 1, 30 do crowd[i] = get("192.0.2.3"):rep(at_once); end
		for _, open_request in ipairs(wire.send_all(crowd)) do open_request:answer(); end -- or the end of the connection
		local seconds = quickest(401, message("192.0.2.4", false), "proxy");
		assert.is_true(seconds < 0.9, ("a challenge took %.3f s"):format(seconds));
		for _ = 1, at_once / 2 do assert.equal(405, timed(get("192.0.2.4"), "proxy").status); end
		seconds = quickest(201, message("192.0.2.5"), "proxy");
		assert.is_true(seconds < 0.9, ("a right request took %.3f s"):format(seconds));
		world.hang_up("proxy");
	end);

	it("send requests that are not read after the request that ends their connection", function ()
		flood(get("192.0.2.8"), 2 * at_once);
		-- All requests of other connections are answered, so only the next connection is counted.
		world.lua([[
			local listener = require "net.http.server".listener;
			local read = { bytes = 0; onincoming = listener.onincoming };
			package.loaded.spec_read = read;
			function listener.onincoming(conn, data)
				read.bytes = read.bytes + #data;
				return read.onincoming(conn, data);
			end
		]]);
		local open_request = wire.send(get("192.0.2.8"):rep(1000)); -- they fit into the buffers of the system
		open_request.connection:shutdown("send"); -- Prosody reads on from a client that has hung up
		open_request:answer(); -- or the end of the connection: unread bytes may lose the answer
		local bytes = world.lua([[
			require "net.http.server".listener.onincoming = package.loaded.spec_read.onincoming;
			return package.loaded.spec_read.bytes;
		]]);
		assert.is_true(bytes > 0 and bytes <= 3 * 8192, bytes .. " bytes were read"); -- Prosody reads 8192 at a time
	end);

	it("all get an answer, even if too many answers are delayed", function ()
		local answers = flood(get("192.0.2.6"), 500);
		for _, answer in ipairs(answers) do assert.equal(405, answer.status); end
		assert.equal(201, timed(message("192.0.2.6")).status);
	end);

	it("get their delayed answers when the module is reloaded", function ()
		flood(get("192.0.2.7"), 2 * at_once);
		local waiting = {};
		for i = 1, 20 do waiting[i] = wire.send(get("192.0.2.7")); end
		assert(world.module("reload"));
		for _, answer in ipairs(wire.answers(waiting)) do assert.equal(405, answer.status); end
	end);
end);
