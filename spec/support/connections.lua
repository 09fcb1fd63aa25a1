-- Whole connections of HTTP clients: random requests of every framing, one after the other, cut into random pieces. Each request must get
-- its own answer.

local assert = require "luassert";
local socket = require "socket";
local world = require "spec.support.world";

local connections = {};

-- Starts a server with another module that has routes. `read_size`: the bytes of a connection that Prosody reads at once.
function connections.start(read_size)
	local options = world.defaults();
	for _, host in pairs(options.hosts) do host.modules = { "post_msg", "spec_http" }; end
	options.extra = ("network_settings = { read_size = %d }\nhttp_max_content_size = 262144\n"):format(read_size);
	world.start(options);
	world.login("user@example.com");
	assert.equal(201, world.http(world.request("/msg/user", "The password is known from here on")).status);
	world.collect();
end

local random = math.random;

local function one_of(list)
	return list[random(#list)];
end

-- Text that looks like the framing of requests.
local fragments = {
	"hello", "\r\n\r\n", "\r\n", "0\r\n\r\n", "5\r\nhello\r\n", "POST /msg/user HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n",
	"Content-Length: 7\r\n\r\n", "ü", " ", "x", ("y"):rep(500), ("z"):rep(9000),
};

local function text(longest)
	local parts = {};
	for i = 1, random(longest) do parts[i] = one_of(fragments); end
	return "text "..table.concat(parts).."."; -- never empty, and no line end at its end
end

-- The body in chunks of random sizes, with extensions and trailers.
local function in_chunks(body)
	local parts, at = {}, 1;
	while at <= #body do
		local chunk = body:sub(at, at + random(one_of { 1, 5, 100, 5000 }) - 1);
		if #parts > 200 then chunk = body:sub(at); end
		at = at + #chunk;
		parts[#parts + 1] = one_of { "%x", "%X", "0%x", "000%X ", "%x;a=b", "%x ; name=\"x;y\"" }:format(#chunk).."\r\n"..chunk.."\r\n";
	end
	return table.concat(parts)..one_of { "0", "000", "0;last" }.."\r\n"..one_of { "", "", "Checksum: x\r\n", "A: b\r\nC: d\r\n" }.."\r\n";
end

local function head(method, path, lines)
	local all = { one_of { "Host: example.com", "host: example.com:5280" } };
	for name, value in pairs(lines) do
		all[#all + 1] = (random(3) == 1 and name:lower() or name)..one_of { ": ", ":" }..value;
	end
	for i = #all, 2, -1 do
		local other = random(i);
		all[i], all[other] = all[other], all[i];
	end
	return ("%s %s HTTP/1.1\r\n%s\r\n\r\n"):format(method, path, table.concat(all, "\r\n"));
end

local function message(id, lines)
	lines["Authorization"] = world.basic("me@example.com");

	lines["Content-Type"] = "text/plain";
	lines["X-Request-Id"] = id;
	return head(one_of { "POST", "POST", "PUT" }, "/msg/swallow@echo.example.com", lines);
end

-- Each makes a request. > its bytes, the status of its answer, what the answer's body is (nil: anything), whether it is the last
local makers = {};

function makers.plain(id)
	local body = text(6);
	return message(id, { ["Content-Length"] = #body })..body, 201;
end

function makers.chunked(id)
	return message(id, { ["Transfer-Encoding"] = one_of { "chunked", "Chunked" } })..in_chunks(text(12)), 201;
end

function makers.large(id)
	return message(id, { ["Transfer-Encoding"] = "chunked" })..in_chunks(("large "):rep(random(30000))), 201;
end

function makers.empty(id)
	return message(id, { ["Transfer-Encoding"] = "chunked" })..in_chunks(""), 422;
end

function makers.options(id)
	return head("OPTIONS", "/msg/user", { ["X-Request-Id"] = id }), 200;
end

function makers.description(id)
	return head("GET", "/msg/openapi.json", { ["X-Request-Id"] = id }), 200;
end

function makers.other_method(id)
	return head("PATCH", "/msg/user", { ["X-Request-Id"] = id; ["Content-Length"] = 5 }).."hello", 405;
end

function makers.other_module(id)
	local body = text(6);
	return head("POST", "/spec/"..id, { ["Content-Length"] = #body })..body, 200, ("POST /spec/%s - %s"):format(id, body);
end

function makers.upload(id)
	local body = ("u"):rep(30000 + random(9999));
	return head("PUT", "/spec/"..id, { ["Content-Length"] = #body })..body, 200, ("PUT /spec/%s - %s"):format(id, body);
end

function makers.nothing()
	return head("GET", "/nothing", {}), 404;
end

local last_makers = {};

function last_makers.malformed_chunk(id)
	local chunks = in_chunks(text(3));
	local at = random(#chunks - 4);
	local wrong = one_of { "x", "-1\r\n", "5\r\nhell\r\n0\r\n\r\n", chunks:sub(1, at).."\0"..chunks:sub(at + 1) };
	return message(id, { ["Transfer-Encoding"] = "chunked" })..wrong, 400;
end

function last_makers.negative(id)
	return message(id, { ["Content-Length"] = one_of { "-2", "+5", "0x5", "5, 5", "" } }).."hello", 400;
end

function last_makers.both(id)
	return message(id, { ["Content-Length"] = one_of { 5, 500 }; ["Transfer-Encoding"] = "chunked" })..in_chunks("hello"), 400;
end

function last_makers.coding(id)
	return message(id, { ["Transfer-Encoding"] = one_of { "gzip, chunked", "identity", "x" } })..in_chunks("hello"), 501;
end

function last_makers.too_large(id)
	return message(id, { ["Transfer-Encoding"] = "chunked" }).."fffffff\r\n"..text(9), 413;
end

-- A body that Prosody does not keep in memory.
local function large_upload(number) --> bytes, expected answer
	local body = ("u"):rep(300000 + random(9999));
	return head("PUT", ("/spec/c%d-1"):format(number), { ["Content-Length"] = #body })..body,
		{ id = "upload"; name = "large_upload"; status = 200; body = "received "..#body };
end

local function names_of(list)
	local names = {};
	for name in pairs(list) do names[#names + 1] = name; end
	table.sort(names);
	return names;
end

local names, last_names = names_of(makers), names_of(last_makers);

-- A conversation: { bytes, expected = { { id, name, status, body }, … } }
function connections.new(number)
	local expected, parts = {}, {};
	local count = random(8);
	-- Prosody ends a connection with a large body behind a request that is not answered yet.
	if random(8) == 1 then
		parts[1], expected[1] = large_upload(number);
	end
	for i = #parts + 1, count do
		local id = ("c%d-%d"):format(number, i);
		local is_last = i == count and random(3) == 1;
		local name = one_of(is_last and last_names or names);
		local bytes, status, body = (is_last and last_makers or makers)[name](id);
		expected[i] = { id = id, name = name, status = status, body = body };
		parts[i] = bytes;
	end
	return { bytes = table.concat(parts), expected = expected };
end

-- Sends the bytes in random pieces, while it reads the answers.
local function send(connection, bytes)
	local at = 1;
	while at <= #bytes do
		local size = random(one_of { 1, 3, 50, 500, 20000, 200000 });
		local sent, err, partial = connection:send(bytes, at, math.min(at + size - 1, #bytes));
		at = (sent or partial) + 1;
		if err == "timeout" then
			coroutine.yield();
		elseif err then
			return; -- the server has ended the connection
		elseif random(4) == 1 then
			coroutine.yield();
		end
	end
end

-- Reads an answer from what has been received. > answer and the rest; or nil if it is incomplete
local function read_answer(received)
	local head_end = select(2, received:find("\r\n\r\n", 1, true));
	if not head_end then return nil; end
	local lines = received:sub(1, head_end);
	local length = tonumber(lines:lower():match("\r\ncontent%-length: (%d+)")) or 0;
	if #received < head_end + length then return nil; end
	return {
		status = tonumber(lines:match("^HTTP/1%.1 (%d+)")); id = lines:lower():match("\r\nx%-request%-id: ([^\r]*)");
		body = received:sub(head_end + 1, head_end + length);
	}, received:sub(head_end + length + 1);
end

-- Has the conversation with the server. > nil, or a sentence that says which answer is wrong
function connections.run(conversation)
	local connection = assert(socket.connect("127.0.0.1", world.server.http_port));
	connection:setoption("tcp-nodelay", true);
	connection:settimeout(0);
	local sender = coroutine.create(send);
	local deadline = socket.gettime() + 60;
	local received = "";
	local function next_answer()
		while socket.gettime() < deadline do
			local answer, rest = read_answer(received);
			if answer then
				received = rest;
				return answer;
			end
			if coroutine.status(sender) ~= "dead" then assert(coroutine.resume(sender, connection, conversation.bytes)); end
			local data, err, partial = connection:receive(65536);
			received = received..(data or partial);
			if err == "closed" and not read_answer(received) then return nil, "the connection was closed"; end
			if err == "timeout" and partial == "" then
				socket.select({ connection }, coroutine.status(sender) ~= "dead" and { connection } or nil, 1);
			end
		end
		return nil, "there was no answer";
	end
	for number, expected in ipairs(conversation.expected) do
		local answer, err = next_answer();
		local is_right = answer and answer.status == expected.status and (not expected.body or answer.body == expected.body)
			and (expected.status == 404 or expected.body or answer.id == expected.id);
		if not is_right then
			connection:close();
			return ("request %d (%s): expected %d, %s, got %s"):format(number, expected.name, expected.status, expected.id,
				answer and ("%d, %s, %s"):format(answer.status, tostring(answer.id), answer.body:sub(1, 200)) or err);
		end
	end
	connection:close();
end

return connections;
