-- The memory of large and hostile bodies in a real Prosody, and the time that they cost other accounts.

local read_file = require "pl.file".read;
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local MB = 1024 * 1024;

local function post(path, body, headers)
	return world.http(world.request(path, body, headers));
end

local function output_of(command) --> bytes
	local pipe = assert(io.popen(command));
	local output = pipe:read("*a");
	pipe:close();
	return output;
end

local function gzip(python) --> bytes; `python` is an expression of the bytes in them
	local program = "import gzip, sys; sys.stdout.buffer.write(gzip.compress(" .. python .. "))";
	return output_of(("%s -c '%s'"):format(os.getenv("PYTHON") or "/usr/bin/python3", program));
end

local function process() --> folder
	return "/proc/" .. read_file(world.server.dir .. "/prosody.pid"):match("%d+");
end

-- The most bytes of memory that Prosody has used since `forget_peak`.
local function peak() --> number
	for line in io.lines(process() .. "/status") do
		local kilobytes = line:match("^VmHWM:%s*(%d+)");
		if kilobytes then return tonumber(kilobytes) * 1024; end
	end
end

local function forget_peak()
	local file = assert(io.open(process() .. "/clear_refs", "w"));
	file:write("5");
	file:close();
end

teardown(world.stop);

describe("memory", function ()
	lazy_setup(function ()
		world.start();
		post("/msg/user", "hello");
		world.collect();
	end);

	local json = { ["Content-Type"] = "application/json", ["Content-Encoding"] = "gzip" };

	local function costs(name, status, path, body, headers, most)
		it("is in proportion to " .. name, function ()
			forget_peak();
			local baseline = peak();
			assert.equal(status, post(path, body, headers).status);
			local growth = peak() - baseline;
			assert.is_true(growth < most, ("%.1f MB"):format(growth / MB));
			assert.equal(201, post("/msg/user", "hello").status);
			assert.same({}, select(2, world.collect()));
		end);
	end

	-- Each took 290 to 990 MB once. The limit of a request is 40 MB, and there are two copies of its body.
	costs("a payload of a million objects", 413, "/msg/user?as=slack",
		gzip([[b"{\"text\":\"x\",\"z\":[" + b"{\"\":0}," * 1400000 + b"0]}"]]), json, 80 * MB);
	costs("a form of a million fields", 413, "/msg/user?as=slack",
		gzip([[b"text=x" + b"".join(b"&%x=" % n for n in range(1200000))]]),
		{ ["Content-Type"] = "application/x-www-form-urlencoded", ["Content-Encoding"] = "gzip" }, 80 * MB);
	costs("a million numbers that are no messages", 422, "/msg/user", gzip([[b"[" + b"0," * 4000000 + b"0]"]]), json, 80 * MB);
	costs("lines of XHTML", 422, "/msg/user", gzip([[(b"{\"html\":\"" + b"<p/>" * 1900 + b"x\"}\n") * 1200]]),
		{ ["Content-Type"] = "application/x-ndjson", ["Content-Encoding"] = "gzip" }, 90 * MB);
	costs("a field beside a hundred files", 422, "/msg/user", gzip([[b"--B\r\nContent-Disposition: form-data; name=to\r\n\r\n"
		+ b"x" * 9000000 + b"\r\n" + b"--B\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\nx\r\n" * 101 + b"--B--\r\n"]]),
		{ ["Content-Type"] = "multipart/form-data; boundary=B", ["Content-Encoding"] = "gzip" }, 80 * MB);

	it("is in proportion to requests whose answers the client does not read", function ()
		forget_peak();
		local baseline, count = peak(), 4000;
		local unread = wire.send(("GET /msg HTTP/1.1\r\nHost: example.com\r\n\r\n"):rep(count)).connection;
		for _ = 1, 50 do assert.equal(201, post("/msg/user", "hello").status); end -- each in a turn of the event loop
		local growth = peak() - baseline;
		assert.is_true(growth < 30 * MB, ("%.1f MB"):format(growth / MB)); -- the answers have 100 MB
		for _ = 1, count do
			local length;
			repeat
				local line = assert(unread:receive("*l"));
				length = line:match("^Content%-Length: (%d+)") or length;
			until line == "";
			assert(unread:receive(tonumber(length)));
		end
		unread:close();
		world.collect();
	end);
end);

describe("the bodies of one account", function ()
	lazy_setup(function ()
		local options = world.defaults();
		options.hosts["example.com"].modules = { "post_msg", "http_openmetrics" };
		options.extra = 'statistics = "internal"\nstatistics_interval = "manual"\n';
		world.start(options);
	end);

	local function waiting() --> number
		local answer = world.http("GET /metrics HTTP/1.1\r\nHost: example.com\r\n\r\n");
		return tonumber(answer.body:match('\nprosody_mod_post_msg__requests_waiting{host="example.com"} (%d+)'));
	end

	local function answered(open_request) --> number
		local count = 0;
		for _, one in ipairs(open_request) do
			if one:arrived(0) then count = count + 1; end
		end
		return count;
	end

	-- Each keeps the reading thread busy for the longest time: it consists of empty blocks.
	local slow = "\120\156" .. ("\2\8\32\128\0"):rep(400000);

	it("do not delay the bodies of another account", function ()
		local others = { ["Authorization"] = world.basic("other@example.com"), ["Content-Type"] = "application/json" };
		assert.equal(201, post("/msg/user", '{"body": "x"}', others).status); -- from here on, the password is cached
		assert.equal(201, post("/msg/user", "x").status);
		local requests = {};
		for number = 1, 12 do requests[number] = world.request("/msg/user", slow, { ["Content-Encoding"] = "deflate" }); end
		local open_request = wire.send_all(requests);
		wire.await("all bodies in the queue", function () return waiting() + answered(open_request) >= #open_request; end);
		local baseline = answered(open_request);
		local answer = post("/msg/user", '{"body": "' .. ("x"):rep(100000) .. '"}', others);
		assert.equal(201, answer.status);
		-- The body that is being read ends first.
		local meanwhile = answered(open_request) - baseline;
		assert.is_true(baseline + 2 < #open_request and meanwhile <= 2, baseline .. " were answered before, " .. meanwhile .. " meanwhile");
		for _, one in ipairs(wire.answers(open_request)) do assert.equal(413, one.status); end
		world.collect();
	end);
end);

describe("bytes that are no UTF-8", function ()
	lazy_setup(function ()
		world.start({ extra = 'trusted_proxies = { "127.0.0.1" }' });
	end);

	local odd = "\255\254";
	local names = {
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id", "Authorization", "X-Gotify-Key", "Accept", "Prefer", "Idempotency-Key",
		"Content-Encoding", "Content-Disposition", "Content-Type", "Origin", "User-Agent",
	};
	for _, name in ipairs(names) do
		it("in " .. name .. " cause no internal error", function ()
			local mark = world.log_mark();
			for _, path in ipairs { "/msg/user", "/msg/user?as=json", "/msg/user?as=slack", "/msg/@try", "/msg/@tokens" } do
				for _, value in ipairs { odd, "a" .. odd .. "b", "Basic " .. odd } do
					local answer = world.http(world.request(path, '{"text": "x", "body": "x"}', { [name] = value }));
					assert.is_true(answer.status < 500, path .. ": " .. answer.status .. " " .. answer.body);
				end
			end
			assert.same({}, world.errors(mark));
			world.collect();
		end);
	end

	it("in a path, a query or a body cause no internal error", function ()
		local mark = world.log_mark();
		for _, path in ipairs {
			"/msg/" .. odd, "/msg/%FF%FE", "/msg/user?as=" .. odd, "/msg/user?as=%FF", "/msg/user?to=%FF&as=slack", "/msg/user?%FF=%FE&as=slack",
		} do
			for _, kind in ipairs { "text/plain", "application/json", "application/x-www-form-urlencoded" } do
				for _, body in ipairs { odd, '{"' .. odd .. '": 1, "text": "' .. odd .. '"}', odd .. "=" .. odd } do
					local answer = world.http(world.request(path, body, { ["Content-Type"] = kind }));
					assert.is_true(answer.status < 500, path .. ": " .. answer.status .. " " .. answer.body);
				end
			end
		end
		assert.same({}, world.errors(mark));
	end);
end);
