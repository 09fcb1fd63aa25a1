-- The bytes of HTTP connections: chunked bodies, Expect: 100-continue, and the requests of other modules beside them.

local connections = require "spec.support.connections";
local socket = require "socket";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local function open()
	local connection = assert(socket.connect("127.0.0.1", world.server.http_port));
	connection:settimeout(20);
	connection:setoption("tcp-nodelay", true);
	return setmetatable({ connection = connection; hang_up = function () end }, { __index = wire });
end

-- The bytes of a head, without Content-Length unless the headers have it.
local function head(headers, path)
	headers["Content-Length"] = headers["Content-Length"] or false;
	return world.request(path or "/msg/user", "", headers);
end

local function chunked(headers, path)
	headers = headers or {};
	headers["Transfer-Encoding"] = "chunked";
	return head(headers, path);
end

local function received()
	return world.receive("user@example.com"):match("<body>(.-)</body>");
end

-- Waits until Prosody has read what was sent before: the connection of another request is answered later.
local function await_reading()
	for _ = 1, 2 do assert.equal(200, world.http("OPTIONS /msg HTTP/1.1\r\nHost: example.com\r\n\r\n").status); end
end

local function listener_functions()
	return world.lua([[
		local listener = require "net.http.server".listener;
		local names = {};
		for name, handle in pairs(listener) do names[name] = tostring(handle); end
		return names;
	]]);
end

teardown(world.stop);

local last_mark; -- where the log was read up to

describe("connections", function ()
	lazy_setup(function () connections.start(8192); end);
	after_each(function () assert.same({}, world.errors(last_mark)); end);

	it("carry a chunked body that comes byte by byte, and the next request", function ()
		local client = open();
		for byte in (chunked().."5\r\nhello\r\n0\r\n\r\n"):gmatch(".") do client.connection:send(byte); end
		assert.equal(201, client:answer().status);
		assert.equal("hello", received());
		client.connection:send(world.request("/msg/user", "again"));
		assert.equal(201, client:answer().status);
		assert.equal("again", received());
		client.connection:close();
	end);

	it("carry requests of every framing in one packet, each with its own answer", function ()
		local client = open();
		local next_request = "GET /spec/x HTTP/1.1\r\nHost: example.com\r\n\r\n";
		client.connection:send(chunked().."5\r\nfirst\r\n0\r\n\r\n"..next_request..world.request("/msg/user", "second")
			..chunked().."0\r\n\r\n"..chunked().."5\r\nthird\r\n0\r\n\r\n"..next_request);
		for _, expected in ipairs { { 201 }, { 200, "GET /spec/x - " }, { 201 }, { 422 }, { 201 }, { 200, "GET /spec/x - " } } do
			local answer = client:answer();
			assert.same(expected, { answer.status, expected[2] and answer.body });
		end
		for _, text in ipairs { "first", "second", "third" } do assert.equal(text, received()); end
		client.connection:close();
	end);

	it("carry other modules' chunked requests as without this module", function ()
		local request = chunked({}, "/spec/x").."5\r\nhello\r\n0\r\n\r\n";
		local function answer_of_other_module()
			local client = open();
			client.connection:send(request);
			local answer = client:answer();
			local rest = { client.connection:receive("*a") }; -- the parser finds no request in the chunks, and closes the connection
			client.connection:close();
			return { answer.status, answer.body, rest };
		end
		local with_module = answer_of_other_module();
		assert.equal("POST /spec/x chunked ", with_module[2]);
		for _, host in ipairs { "example.com", "second.example" } do assert(world.module("unload", host)); end
		assert.same(with_module, answer_of_other_module());
		for _, host in ipairs { "example.com", "second.example" } do assert(world.module("load", host)); end
	end);

	it("get 100 Continue at once where a body is wanted", function ()
		for _, framing in ipairs { { ["Content-Length"] = 5 }, { ["Transfer-Encoding"] = "chunked" } } do
			framing["Expect"] = "100-continue";
			local client = open();
			client.connection:send(head(framing));
			assert.equal("HTTP/1.1 100 Continue", client.connection:receive("*l"));
			assert.equal("", client.connection:receive("*l"));
			client.connection:send(framing["Content-Length"] and "hello" or "5\r\nhello\r\n0\r\n\r\n");
			assert.equal(201, client:answer().status);
			assert.equal("hello", received());
			client.connection:close();
		end
	end);

	it("get no 100 Continue for a body that is too large, is absent or is there already, nor from other modules", function ()
		local client = open();
		client.connection:send(head({ ["Expect"] = "100-continue"; ["Content-Length"] = 300000 }));
		assert.equal(413, client:answer().status);
		client.connection:close();
		client = open();
		client.connection:send(world.request("/msg/user", "hello", { ["Expect"] = "100-continue" })
			..world.request("/msg/user", "", { ["Expect"] = "100-continue" }));
		assert.equal(201, client:answer().status);
		assert.equal("hello", received());
		assert.equal(422, client:answer().status);
		client.connection:close();
		client = open();
		client.connection:send(head({ ["Expect"] = "100-continue"; ["Content-Length"] = 5 }, "/spec/x"));
		await_reading();
		client.connection:send("hello");
		local answer = client:answer();
		assert.same({ 200, "POST /spec/x - hello" }, { answer.status, answer.body });
		client.connection:close();
	end);

	it("get 100 Continue only after the answers to earlier requests", function ()
		local client = open();
		local slow = world.request("/msg/swallow@echo.example.com", "slow", { ["Prefer"] = "wait=1" });
		client.connection:send(slow..slow..head({ ["Expect"] = "100-continue"; ["Content-Length"] = 5 }));
		for _ = 1, 2 do assert.equal(202, assert(client:answer()).status); end
		assert.equal("HTTP/1.1 100 Continue", client.connection:receive("*l"));
		assert.equal("", client.connection:receive("*l"));
		client.connection:send("hello");
		assert.equal(201, client:answer().status);
		assert.equal("hello", received());
		client.connection:close();
	end);

	it("get 413 for chunks that are too large, and 401 without credentials", function ()
		for status, authorization in pairs { [413] = world.basic("me@example.com"), [401] = false } do
			local client = open();
			client.connection:send(chunked({ ["Authorization"] = authorization }).."5\r\nhello\r\n40000\r\nx");
			local answer = client:answer();
			assert.equal(status, answer.status);
			client.connection:close();
		end
		local limit = 256 * 1024;
		local body = (" "):rep(limit - 2).."{}";
		local request = chunked { ["Content-Type"] = "application/json" };
		local client = open();
		client.connection:send(request..("%x\r\n"):format(limit)..body.."\r\n0\r\n\r\n");
		assert.equal(422, client:answer().status); -- as large as it may be
		client.connection:close();
	end);

	it("end after malformed chunks, and what follows is dropped", function ()
		local client = open();
		client.connection:send(chunked().."5\r\nhello!\r\n0\r\n\r\n"..world.request("/msg/user", "smuggled"));
		local answer = client:answer();
		assert.same({ 400, "close" }, { answer.status, answer.headers["connection"] });
		client.connection:send(world.request("/msg/user", "smuggled"));
		assert.equal("", (select(3, client.connection:receive("*a"))) or "");
		client.connection:close();
		assert.equal(201, world.http(world.request("/msg/user", "not smuggled")).status);
		assert.equal("not smuggled", received());
	end);

	it("cannot make up the header of wrong framing", function ()
		local answer = world.http(world.request("/msg/user", "hello", { ["Post-Msg-Fault"] = "secret bad_framing text" }));
		assert.equal(201, answer.status);
		assert.equal("hello", received());
		local client = open();
		client.connection:send(chunked({ ["Post-Msg-Fault"] = "x" }, "/msg/user?body=smuggled") .. "x");
		assert.equal(400, client:answer().status);
		client.connection:close();
	end);

	it("end when the module is unloaded on all hosts amid a body, whose rest is no request", function ()
		local client = open();
		client.connection:send(chunked() .. "5\r\nhel");
		await_reading();
		for _, host in ipairs { "example.com", "second.example" } do assert(world.module("unload", host)); end
		client.connection:send("GET /spec/x HTTP/1.1\r\nHost: example.com\r\n\r\n");
		assert.is_nil((client:answer()));
		for _, host in ipairs { "example.com", "second.example" } do assert(world.module("load", host)); end
	end);

	it("go on when the module is reloaded amid a body", function ()
		local chunks, plain, cut_head = open(), open(), open();
		local request = world.request("/msg/user", "three");
		chunks.connection:send(chunked().."3\r\non");
		plain.connection:send(head({ ["Content-Length"] = 3 }).."t");
		cut_head.connection:send(request:sub(1, 30));
		await_reading();
		assert(world.module("reload"));
		assert(world.module("reload", "second.example"));
		assert(world.module("reload"));
		chunks.connection:send("e\r\n0\r\n\r\n");
		assert.equal(201, chunks:answer().status);
		assert.equal("one", received());
		plain.connection:send("wo");
		assert.equal(201, plain:answer().status);
		assert.equal("two", received());
		cut_head.connection:send(request:sub(31));
		assert.equal(201, cut_head:answer().status);
		assert.equal("three", received());
		for _, client in ipairs { chunks, plain, cut_head } do
			client.connection:send(chunked().."4\r\nnext\r\n0\r\n\r\n");
			assert.equal(201, client:answer().status);
			assert.equal("next", received());
			client.connection:close();
		end
	end);

	it("end when a reload amid a body fails, and what was no body goes on", function ()
		local mark = world.log_mark();
		assert(world.module("unload", "second.example"));
		local chunks, cut_head = open(), open();
		local request = "GET /spec/x HTTP/1.1\r\nHost: example.com\r\n\r\n";
		chunks.connection:send(chunked() .. "5\r\nhel");
		cut_head.connection:send(request:sub(1, 20));
		await_reading();
		local set = "require 'core.configmanager'.set('example.com', 'post_msg_size_limit', %s)";
		world.lua(set:format("'no number'"));
		assert.is_nil((world.module("reload")));
		chunks.connection:send("GET /spec/x HTTP/1.1\r\nHost: example.com\r\n\r\n");
		assert.is_nil((chunks:answer()));
		cut_head.connection:send(request:sub(21));
		assert.equal(200, cut_head:answer().status);
		cut_head.connection:close();
		world.lua(set:format("nil"));
		assert.equal(1, #world.errors(mark));
		last_mark = world.log_mark();
		for _, host in ipairs { "example.com", "second.example" } do assert(world.module("load", host)); end
	end);

	it("go on when the module is unloaded on one of two hosts", function ()
		local second = { ["Host"] = "second.example"; ["Authorization"] = world.basic("me@example.com") };
		for _, host in ipairs { "second.example", "example.com" } do
			local client = open();
			client.connection:send(chunked({ ["Host"] = host }, "/msg/user@example.com").."4\r\nha");
			await_reading();
			local other = host == "example.com" and "second.example" or "example.com";
			assert(world.module("unload", other));
			client.connection:send("lf\r\n0\r\n\r\n");
			assert.equal(201, client:answer().status);
			assert.equal("half", received());
			client.connection:close();
			assert(world.module("load", other));
		end
		assert.equal(201, world.http(chunked(second, "/msg/user@example.com").."4\r\nhost\r\n0\r\n\r\n").status);
		assert.equal("host", received());
	end);

	it("pass unseen once the module is unloaded on all hosts", function ()
		local names = { "onconnect", "onincoming", "ondisconnect", "ondetach" };
		for _, host in ipairs { "example.com", "second.example" } do assert(world.module("unload", host)); end
		local original = listener_functions();
		local client = open();
		client.connection:send("GET /spec/x HTTP/1.1\r\nHost: example.com\r\n");
		assert(world.module("load"));
		local hooked = listener_functions();
		for _, name in ipairs(names) do assert.not_equal(original[name], hooked[name]); end
		client.connection:send("\r\n");
		assert.equal(200, client:answer().status);
		-- A connection that is older than the module: its chunks cannot be read.
		client.connection:send(chunked().."5\r\nhello\r\n0\r\n\r\n");
		assert.equal(400, client:answer().status);
		client.connection:close();
		assert(world.module("unload"));
		assert.same(original, listener_functions());
		for _, host in ipairs { "example.com", "second.example" } do assert(world.module("load", host)); end
	end);
end);

for _, read_size in ipairs { 1, 7, 100, 8192 } do
	describe(("connections, with %d bytes for each read of Prosody,"):format(read_size), function ()
		lazy_setup(function () connections.start(read_size); end);
		after_each(function () assert.same({}, world.errors(last_mark)); end);

		it("give each of many random requests its own answer", function ()
			local seed = os.time();
			math.randomseed(seed);
			for number = 1, read_size == 1 and 10 or 50 do
				local conversation = connections.new(number);
				assert.is_nil(connections.run(conversation), "seed "..seed);
			end
		end);
	end);
end
