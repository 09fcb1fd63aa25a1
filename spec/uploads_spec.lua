-- Files: uploaded to the service of the sender's host (XEP-0363), here Prosody's own mod_http_file_share, and linked to.

local json = require "dkjson";
local mime = require "mime";
local neighbours = require "spec.support.neighbours";
local socket = require "socket";
local pages = require "spec.support.pages";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local user, other = "user@example.com", "other@example.com";
local png = mime.unb64("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==");

local service = [[
Component "upload.example.com" "http_file_share"
	http_host = "127.0.0.1"
	http_file_share_size_limit = 11 * 1024 * 1024
	http_file_share_daily_quota = 1024 * 1024 * 1024
]];

local function post(path, body, headers)
	return world.http(world.request(path, body, headers));
end

local function upload(path, body, media_type, headers)
	headers = headers or {};
	headers["Content-Type"] = media_type;
	return post(path, body, headers);
end

local function unescaped(text)
	return (text:gsub("&(%w+);", { amp = "&", lt = "<", gt = ">", quot = '"', apos = "'" }));
end

-- The next message: its link, its body, and all of it.
local function receive(address)
	local raw = world.receive(address or user);
	local url, body = raw:match("<x xmlns='jabber:x:oob'><url>(.-)</url></x>"), raw:match("<body>(.-)</body>");
	return url and unescaped(url), body and unescaped(body), raw;
end

-- The bytes and the media type at the link.
local function fetch(url)
	local port, path = url:match("^http://127%.0%.0%.1:(%d+)(/.*)$");
	assert.equal(tostring(world.server.http_port), port, url);
	local answer = world.http(("GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"):format(path));
	assert.equal(200, answer.status, url);
	return answer.body, answer.headers["content-type"];
end

-- A form of parts: { name, content, file name, media type }.
local function form(...)
	local lines = {};
	for _, part in ipairs { ... } do
		lines[#lines + 1] = "--B\r\nContent-Disposition: form-data; name=\"" .. part[1] .. "\""
			.. (part[3] and "; filename=\"" .. part[3] .. "\"" or "") .. "\r\n"
			.. (part[4] and "Content-Type: " .. part[4] .. "\r\n" or "") .. "\r\n" .. part[2] .. "\r\n";
	end
	return table.concat(lines) .. "--B--\r\n", "multipart/form-data; boundary=B";
end

local function assert_nothing_sent()
	for address, messages in pairs((world.collect())) do assert.same({}, messages, address); end
end

describe("a file", function ()
	lazy_setup(function ()
		world.start({ components = service .. 'Component "rooms.example.com" "muc"\n\tmuc_room_locking = false\n' });
		world.login(user, other);
	end);

	lazy_teardown(function ()
		assert.same({}, world.errors());
		world.stop();
	end);

	it("is uploaded, and its link is the body", function ()
		local answer = upload("/msg/user", png, "image/png");
		assert.equal(201, answer.status, answer.body);
		assert.equal("", answer.body);
		local url, body, raw = receive();
		assert.equal(url, body);
		assert.matches("/file%.png$", url);
		assert.matches("from='me@example%.com'", raw);
		local content, media_type = fetch(url);
		assert.equal(png, content);
		assert.equal("image/png", media_type);
	end);

	it("is freed from memory once it is uploaded", function ()
		local function held() return world.lua("collectgarbage() collectgarbage() return collectgarbage('count')"); end
		local baseline = held();
		for _ = 1, 10 do
			assert.equal(201, upload("/msg/user", ("x"):rep(1000000), "application/x-thing").status);
			receive();
		end
		wire.await("memory", function () return held() < baseline + 2000; end);
	end);

	it("is named by the query or by Content-Disposition", function ()
		for _, case in ipairs {
			{ "/msg/user?filename=graph%201.png", nil, "/graph%201.png" },
			{ "/msg/user", "attachment; filename=\"cpu.png\"", "/cpu.png" },
			{ "/msg/user", "attachment; filename=x.png; filename*=UTF-8''%C3%9C.png", "/%c3%9c.png" },
			{ "/msg/user?filename=wins.png", "attachment; filename=loses.png", "/wins.png" },
			{ "/msg/user?filename=..%2F..%2Fetc%2Fpasswd", nil, "/passwd" },
		} do
			assert.equal(201, upload(case[1], png, "image/png", { ["Content-Disposition"] = case[2] }).status);
			local url = receive();
			assert.equal(case[3], url:match("/[^/]*$"):gsub("%%%x%x", string.lower), nil);
			assert.equal(png, (fetch(url)));
		end
	end);

	it("has only the service's limit for its media type", function ()
		for _, media_type in ipairs { "application/pdf", "video/mp4", "font/woff2", "application/x-thing" } do
			assert.equal(201, upload("/msg/user", "content", media_type).status, media_type);
			assert.equal("content", (fetch((receive()))));
		end
	end);

	it("is any text, JSON or XML that has a file name", function ()
		for _, media_type in ipairs { "text/csv", "text/html; charset=utf-8", "application/vnd.api+json", "application/xml" } do
			assert.equal(201, upload("/msg/user?filename=x", "content", media_type).status, media_type);
			assert.equal("content", (fetch((receive()))));
		end
		assert.equal(415, upload("/msg/user", "{}", "application/vnd.api+json").status);
		assert.equal(415, upload("/msg/user?filename=x", "{}", "aplication/json").status);
	end);

	it("is a body without a media type that is not UTF-8: curl -T", function ()
		assert.equal(201, upload("/msg/user?filename=graph.png", png, false).status);
		local url = receive();
		assert.equal(png, (fetch(url)));
		assert.matches("/graph%.png$", url);
		assert.equal(201, upload("/msg/user", "Grüße", false).status);
		assert.equal("Grüße", select(2, receive()));
	end);

	it("of a form is sent whatever its part is called, unless it is called like a field", function ()
		local body, media_type = form({ "attachment", png, "graph.png", "image/png" }, { "body", "text of a file", "body.txt", "text/plain" });
		local answer = upload("/msg/user", body, media_type, { ["Accept"] = "application/json" });
		assert.equal(201, answer.status, answer.body);
		local url, text = receive();
		assert.equal("text of a file", text);
		assert.equal(png, (fetch(url)));
		local shown = json.decode(answer.body);
		assert.same({ url, "graph.png" }, { shown.url, shown.filename });
	end);

	it("of a form is refused if it is empty or encoded", function ()
		local body, media_type = form({ "body", "x" }, { "attachment", "", "graph.png", "image/png" });
		assert.equal(422, upload("/msg/user", body, media_type).status);
		body, media_type = form({ "body", "not chosen" }, { "attachment", "", "", "image/png" });
		body = body:gsub('name="attachment"', '%0; filename=""');
		assert.equal(201, upload("/msg/user", body, media_type).status);
		assert.equal("not chosen", select(2, receive()));
		body, media_type = form({ "attachment", "AAAA", "graph.png", "image/png\r\nContent-Transfer-Encoding: base64" });
		assert.equal(415, upload("/msg/user", body, media_type).status);
	end);

	it("of a form is sent with its text; several files are several messages, with the text in the first", function ()
		local body, media_type = form({ "body", "Report" }, { "subject", "Week 47" }, { "file", png, "graph.png", "image/png" },
			{ "thread", "reports" }, { "file", "%PDF", "a b.pdf", "application/pdf" });
		local answer = upload("/msg/user", body, media_type, { ["Accept"] = "application/json" });
		assert.equal(201, answer.status, answer.body);
		assert.equal(2, #json.decode(answer.body));
		local url, text, raw = receive();
		assert.equal("Report", text);
		assert.matches("<subject>Week 47</subject>", raw);
		assert.matches("<thread>reports</thread>", raw);
		assert.matches("/graph%.png$", url);
		assert.equal(png, (fetch(url)));
		url, text, raw = receive();
		assert.equal(url, text);
		assert.is_nil(raw:find("subject", 1, true));
		assert.matches("<thread>reports</thread>", raw);
		assert.matches("/a%%20b%.pdf$", url);
		assert.equal("%PDF", (fetch(url)));
	end);

	it("of curl -F arrives", function ()
		local name = os.tmpname();
		local file = assert(io.open(name, "wb"));
		file:write(png);
		file:close();
		local status, body = world.curl(("curl http://example.com:5280/msg/user -u me@example.com:mypassword -F body=Graph -F 'file=@%s;filename=g.png'")
			:format(name));
		assert.equal(201, status, body);
		local url, text = receive();
		assert.equal("Graph", text);
		assert.equal(png, (fetch(url)));
		status = world.curl(("curl http://example.com:5280/msg/user -u me@example.com:mypassword -H 'Content-Type: image/png' --data-binary @%s")
			:format(name));
		assert.equal(201, status);
		assert.equal(png, (fetch((receive()))));
		os.remove(name);
	end);

	it("is sent as docs/reference.md says", function ()
		local folder = world.server.dir .. "/files";
		os.execute("mkdir '" .. folder .. "'");
		for name, content in pairs { ["graph.png"] = png, ["report.pdf"] = "%PDF" } do
			local file = assert(io.open(folder .. "/" .. name, "wb"));
			file:write(content);
			file:close();
		end
		local run = 0;
		for _, block in ipairs((pages.code("docs/reference.md"))) do
			if block.spec == "spec/uploads_spec.lua" then
				local command, expected = block.text:gsub("https://example%.com:5281", "http://example.com:5280"):match("^(.-)\n# (.*)$");
				local status, body = world.curl("cd '" .. folder .. "'\n" .. command);
				assert.equal(expected:match("^(%d+)\n"), tostring(status), body);
				for text in expected:gmatch("# → user@example%.com: ([^\n]+)") do
					local url, got = receive();
					local first, last = text:match("^(.-)…(.*)$");
					if first then
						assert.equal(url, got);
						assert.equal(first, got:sub(1, #first));
						assert.equal(last, got:sub(-#last));
					else
						assert.equal(text, got);
					end
				end
				run = run + 1;
			end
		end
		assert.equal(2, run);
		assert_nothing_sent();
	end);

	it("is sent to every recipient, and uploaded once", function ()
		local body, media_type = form({ "to", "user" }, { "to", "other" }, { "file", png, "g.png", "image/png" });
		assert.equal(201, upload("/msg", body, media_type).status);
		assert.equal((receive(user)), (receive(other)));
	end);

	it("is sent to a room", function ()
		world.send(user, "<presence to='team@rooms.example.com/user'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
		wire.await("the room", function () return world.receive_presence(user):find("from='team@rooms.example.com/user'", 1, true) ~= nil; end);
		assert.equal(201, upload("/msg/team@rooms.example.com", png, "image/png").status);
		local raw;
		repeat raw = world.receive(user); until raw:find("file_share", 1, true);
		assert.matches("type='groupchat'", raw);
		assert.matches("from='team@rooms%.example%.com/me'", raw);
	end);

	it("that is compressed for the request is uploaded uncompressed", function ()
		local function gzip(text)
			local name = os.tmpname();
			local file = assert(io.open(name, "wb"));
			file:write(text);
			file:close();
			local pipe = assert(io.popen("gzip -c '" .. name .. "' | base64 -w 0"));
			local packed = mime.unb64(pipe:read("*a"));
			pipe:close();
			os.remove(name);
			return packed;
		end
		local gzipped = { ["Content-Encoding"] = "gzip" };
		assert.equal(201, upload("/msg/user", gzip("one file or the other"), "application/pdf", gzipped).status);
		assert.equal("one file or the other", (fetch((receive()))));
		local body, media_type = form({ "file", "of a form", "x.txt", "application/x-text" });
		assert.equal(201, upload("/msg/user", gzip(body), media_type, gzipped).status);
		assert.equal("of a form", (fetch((receive()))));
	end);

	it("is sent once with a key, and its name belongs to the request", function ()
		local key = { ["Idempotency-Key"] = "file-1" };
		assert.equal(201, upload("/msg/user", png, "image/png", key).status);
		receive();
		assert.equal(201, upload("/msg/user", png, "image/png", key).status);
		assert.equal(422, upload("/msg/user?filename=x.png", png, "image/png", key).status);
		key["Content-Disposition"] = "attachment; filename=y.png";
		assert.equal(422, upload("/msg/user", png, "image/png", key).status);
		assert_nothing_sent();
	end);

	it("that is invalid is rejected, and nothing is uploaded or sent", function ()
		local mark = world.log_mark();
		local function assert_refused(status, answer, part)
			assert.equal(status, answer.status, answer.body);
			assert.is_truthy(answer.body:find(part, 1, true), answer.body);
		end
		assert_refused(422, upload("/msg/user", "", "image/png"), "empty");
		assert_refused(422, upload("/msg", png, "image/png"), "no recipient");
		assert_refused(415, upload("/msg/user", png, "image"), "not supported");
		assert_refused(415, upload("/msg/user", png, "image/png", { ["Content-Encoding"] = "br" }), "coding");
		local body, media_type = form({ "oob_url", "https://example.com/x" }, { "file", png, "g.png" });
		assert_refused(422, upload("/msg/user", body, media_type), "oob_url");
		body, media_type = form({ "body", "\27" }, { "file", png, "g.png" });
		assert_refused(422, upload("/msg/user", body, media_type), "U+001B");
		local parts = {};
		for index = 1, 101 do parts[index] = { "file", "x", "x.txt" }; end
		body, media_type = form((table.unpack or unpack)(parts));
		assert_refused(422, upload("/msg/user", body, media_type), "more than 100 files");
		assert_refused(401, upload("/msg/user", png, "image/png", { ["Authorization"] = false }), "credentials");
		assert_nothing_sent();
		assert.is_nil(world.log(mark):find("Issuing upload slot", 1, true));
	end);

	it("that was not chosen in a form is ignored", function ()
		local body, media_type = form({ "body", "no file" }, { "file", "", "", "application/octet-stream" });
		assert.equal(201, upload("/msg/user", body, media_type).status);
		local url, text = receive();
		assert.is_nil(url);
		assert.equal("no file", text);
	end);

	it("is not uploaded if its token may not send to the recipient", function ()
		local token = world.prosodyctl({ "mod_post_msg", "token", "add", "me@example.com", "--to", user }):match("(pmsg_%S+)%s*$");
		local headers = { ["Authorization"] = "Bearer " .. token };
		local mark = world.log_mark();
		assert.equal(403, upload("/msg/other", png, "image/png", headers).status);
		assert.is_nil(world.log(mark):find("Issuing upload slot", 1, true));
		assert.equal(201, upload("/msg/user", png, "image/png", headers).status);
		assert.equal(png, (fetch((receive()))));
	end);

	it("of nearly 10 MB arrives, while the pings of other clients are answered", function ()
		local large = ("0123456789abcdef"):rep(10 * 65536 - 64);
		local waiting = wire.send(world.request("/msg/user", large, { ["Content-Type"] = "application/zip" }));
		local pings = 0;
		repeat
			world.ping(other);
			pings = pings + 1;
		until waiting:arrived();
		local answer = waiting:answer();
		assert.equal(201, answer.status, answer.body);
		assert.is_true(fetch((receive())) == large, "another file than was sent");
		assert.is_true(pings > 10, pings .. " pings");
	end);
end);

describe("without a service", function ()
	lazy_setup(function () world.start({ components = "" }); end);
	lazy_teardown(world.stop);

	it("a file has an unsupported media type", function ()
		local answer = upload("/msg/user", png, "image/png");
		assert.equal(415, answer.status);
		assert.matches("^this Content%-Type is not supported; these are: text/plain, ", answer.body);
	end);

	it("a form with a file is rejected with a reason", function ()
		local body, media_type = form({ "body", "Report" }, { "file", png, "g.png", "image/png" });
		local answer = upload("/msg/user", body, media_type, { ["Accept"] = "application/json" });
		assert.equal(415, answer.status);
		assert.equal("file", json.decode(answer.body).field);
		assert.matches("XEP%-0363", answer.body);
	end);
end);

describe("a service's limits and refusals", function ()
	local function start(lines)
		world.start({ components = 'Component "upload.example.com" "http_file_share"\n\thttp_host = "127.0.0.1"\n' .. lines });
		world.login(user);
	end
	after_each(function ()
		assert_nothing_sent();
		assert.same({}, world.errors());
		world.stop();
	end);

	it("become the answer: too large", function ()
		start("http_file_share_size_limit = 1000");
		local answer = upload("/msg/user", ("x"):rep(1001), "image/png", { ["Accept"] = "application/json" });
		assert.equal(413, answer.status);
		assert.matches("file%.png has 1001 bytes, and upload%.example%.com takes 1000", json.decode(answer.body).detail);
	end);

	it("become the answer: not permitted", function ()
		start('http_file_share_access = { "someone@else.example" }\n\t' -- of Prosody 0.12
			.. 'remove_permissions = { ["prosody:registered"] = { "http_file_share:upload" } }'); -- of 13
		local answer = upload("/msg/user", png, "image/png", { ["Accept"] = "application/json" });
		assert.equal(403, answer.status);
		assert.equal("forbidden", json.decode(answer.body).condition);
	end);

	it("become the answer: quota", function ()
		start("http_file_share_daily_quota = 10");
		assert.equal(503, upload("/msg/user", png, "image/png").status);
	end);

	it("become the answer: a media type that it does not take", function ()
		start('http_file_share_allowed_file_types = { "image/*" }');
		assert.equal(422, upload("/msg/user", "x", "application/pdf").status);
	end);

	it("become the answer if one file of a form is rejected, and nothing is sent", function ()
		start("http_file_share_size_limit = 1000");
		local body, media_type = form({ "body", "x" }, { "file", png, "g.png" }, { "file", ("x"):rep(1001), "h.png" });
		local answer = upload("/msg/user", body, media_type);
		assert.equal(413, answer.status);
		assert.matches("h%.png", answer.body);
	end);

	it("become the answer: a service that cannot be reached by HTTP", function ()
		local port = wire.free_port();
		start(('http_file_share_base_url = "http://127.0.0.1:%d/x"'):format(port));
		local answer = upload("/msg/user", png, "image/png");
		assert.equal(502, answer.status);
		assert.matches("cannot be reached by HTTP", answer.body);
	end);

	it("become the answer: a service whose HTTP server is silent, to which an account uploads at most eight requests at once", function ()
		local port = wire.free_port();
		local silent = assert(socket.bind("127.0.0.1", port));
		start(('http_file_share_base_url = "http://127.0.0.1:%d/x"'):format(port));
		local requests = {};
		for index = 1, 8 do requests[index] = wire.send(world.request("/msg/user", png, { ["Content-Type"] = "image/png" })); end
		wire.await("all to upload", function ()
			return select(2, world.log():gsub("Issuing upload slot", "")) == 8;
		end);
		local answer = upload("/msg/user", png, "image/png");
		assert.equal(503, answer.status);
		assert.equal("1", answer.headers["retry-after"]);
		-- The uploads of one account leave a place for another account.
		requests[9] = wire.send(world.request("/msg/user", png, { ["Content-Type"] = "image/png", ["Authorization"] = world.basic(other) }));
		wire.await("the upload of another account", function ()
			return select(2, world.log():gsub("Issuing upload slot", "")) == 9;
		end);
		for _, request in ipairs(requests) do assert.is_false(request:arrived()); end
		world.module("unload");
		for _, request in ipairs(requests) do assert.equal(503, request:answer().status); end
		silent:close();
	end);
end);


-- An HTTP server that answers each request with 201, and stores the requests.
local function listen()
	local listener = assert(socket.bind("127.0.0.1", 0));
	local _, port = listener:getsockname();
	return {
		port = port;
		is_asked = function () return socket.select({ listener }, nil, 0)[1] ~= nil; end;
		close = function () listener:close(); end;
		-- > the request line and the headers of the next request, which it answers
		serve = function ()
			listener:settimeout(20);
			local connection = assert(listener:accept());
			connection:settimeout(20);
			local lines, length = {}, 0;
			repeat
				local line = assert(connection:receive("*l"));
				lines[#lines + 1] = line;
				length = tonumber(line:lower():match("^content%-length: (%d+)")) or length;
			until line == "";
			assert(connection:receive(length));
			connection:send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
			connection:close();
			return table.concat(lines, "\n");
		end;
	};
end

describe("a service with invalid answers", function ()
	local server;
	lazy_setup(function ()
		server = listen();
		world.start({ components = 'Component "upload.example.com" "spec_upload"\n' });
		world.login(user);
	end);
	lazy_teardown(function ()
		server.close();
		world.stop();
	end);

	-- The service answers each request for a slot with the result of this Lua code, which uses `stanza`, `st` and the server's port.
	local function answer_with(code)
		world.lua(("local port = %d; prosody.spec_slot = function (stanza, st) %s end; return true"):format(server.port, code));
	end

	local function slot(put, get, headers)
		answer_with(([[
			return st.reply(stanza):tag("slot", { xmlns = "urn:xmpp:http:upload:0" })
				:tag("put", { url = %s })%s:up():tag("get", { url = %s })]]):format(put, headers or "", get));
	end

	local fine = '("http://127.0.0.1:%d/x"):format(port)';

	local function assert_works()
		slot(fine, '"HTTPS://Files.Example.com"', ':tag("header", { name = "Authorization" }):text("Basic x"):up()');
		local waiting = wire.send(world.request("/msg/user", png, { ["Content-Type"] = "image/png" }));
		local request = server.serve();
		assert.matches("^PUT /x HTTP/1%.1\n", request);
		assert.matches("\nAuthorization: Basic x\n", request);
		assert.equal(201, waiting:answer().status);
		assert.equal("https://files.example.com/", (receive()));
	end

	local function assert_refused(words)
		local answer = upload("/msg/user", png, "image/png");
		assert.equal(502, answer.status, answer.body);
		assert.is_truthy(answer.body:find(words, 1, true), answer.body);
		assert.is_false(server.is_asked());
		assert_nothing_sent();
	end

	it("gets no HTTP request if its URLs are invalid", function ()
		for _, url in ipairs {
			'("http://127.0.0.1:%d/x HTTP/1.1\\r\\nX-Evil: 1\\r\\n"):format(port)', '("http://127.0.0.1:%d/x\\ny"):format(port)',
			'("http://user@127.0.0.1:%d/x"):format(port)', '("ftp://127.0.0.1:%d/x"):format(port)', '"http:///x"', '"x"', "nil",
		} do
			slot(url, '"https://example.com/"');
			assert_refused("two URLs of http or https");
		end
		for _, url in ipairs { '"javascript:alert(1)"', '"https://me:pw@example.com/"', '"data:text/html,x"', "nil" } do
			slot(fine, url);
			assert_refused("two URLs of http or https");
		end
		assert_works();
	end);

	it("gets no HTTP request if a header is invalid", function ()
		for _, header in ipairs {
			':tag("x"):up()', '', ':text("a\\tb")', ':text("a\\127b")', ':text(("x"):rep(4097))',
		} do
			slot(fine, '"https://example.com/"', ':tag("header", { name = "Authorization" })' .. header .. ":up()");
			assert_refused("Authorization");
		end
		slot(fine, '"https://example.com/"', ':tag("header", { name = "X-Evil" }):text("x"):up():tag("header"):up()');
		local waiting = wire.send(world.request("/msg/user", png, { ["Content-Type"] = "image/png" }));
		assert.is_nil(server.serve():find("Evil", 1, true));
		assert.equal(201, waiting:answer().status);
		receive();
	end);

	it("fails only its own request, and other uploads succeed", function ()
		local mark = world.log_mark();
		for _ = 1, 10 do
			answer_with([[return st.stanza("iq", { type = "error", id = stanza.attr.id, from = stanza.attr.to, to = stanza.attr.from })]]);
			assert_refused("upload.example.com");
			answer_with('return st.reply(stanza)');
			assert_refused("two URLs of http or https");
		end
		assert.same({}, world.errors(mark));
		answer_with('error("a defect of another module")');
		for _ = 1, 10 do assert.is_true(upload("/msg/user", png, "image/png").status >= 502); end
		assert_works();
	end);

	it("with a size that is not a number has no limit", function ()
		for _, size in ipairs { "nan", "-1", "1.5", "1e309", "0x1", ("9"):rep(400), "" } do
			world.lua(([[module:context("upload.example.com"):add_extension(require "util.stanza".stanza("x", { xmlns = "jabber:x:data", type = "result" })
				:tag("field", { var = "max-file-size" }):text_tag("value", %q):reset()); return true]]):format(size));
			world.module("reload", "example.com");
			assert_works();
			world.module("reload", "upload.example.com", "spec_upload");
		end
	end);
end);

describe("a service", function ()
	after_each(function ()
		assert.same({}, world.errors());
		world.stop();
	end);

	it("may be a module of the VirtualHost itself", function ()
		local hosts = world.defaults().hosts;
		hosts["example.com"].modules = { "post_msg", "http_file_share" };
		hosts["example.com"].lines = 'http_host = "127.0.0.1"';
		world.start({ hosts = { ["example.com"] = hosts["example.com"] }, components = "" });
		world.login(user);
		local answer = world.http((world.request("/msg/user", png, { ["Content-Type"] = "image/png", ["Host"] = "127.0.0.1" })));
		assert.equal(201, answer.status, answer.body);
		assert.equal(png, (fetch((receive()))));
	end);

	it("of this server gets files at Prosody's own port, whatever its URL is: an upload needs no DNS, certificate or proxy", function ()
		for lines, expected in pairs {
			[""] = "http://upload.example.com:PORT/file_share/";
			['http_host = "example.com"'] = "http://example.com:PORT/file_share/";
			['http_external_url = "https://files.example.com/prosody/"'] = "https://files.example.com/prosody/file_share/";
			['http_paths = { file_share = "/" }'] = "http://upload.example.com:PORT/";
			['http_external_url = "https://files.example.com/" http_paths = { file_share = "/of-$host" }'] =
				"https://files.example.com/of-upload.example.com/";
		} do
			world.start({ components = 'Component "upload.example.com" "http_file_share"\n\t' .. lines });
			world.login(user);
			local answer = upload("/msg/user", png, "image/png");
			assert.equal(201, answer.status, lines .. ": " .. answer.body);
			local url = receive();
			expected = expected:gsub("PORT", world.server.http_port);
			assert.equal(expected, url:sub(1, #expected));
			local path = lines:match('file_share = "/([^"]*)"') or "file_share";
			local found = world.http(("GET /%s HTTP/1.1\r\nHost: %s\r\n\r\n"):format(
				(path:gsub("%$host", "upload.example.com") .. "/"):gsub("^/", "") .. url:sub(#expected + 1),
				lines:match('http_host = "([^"]*)"') or "upload.example.com"));
			assert.equal(png, found.body);
		end
	end);

	it("whose component is not connected causes 503, and works as soon as it is connected", function ()
		local port = wire.free_port();
		for _, name in ipairs { "", '\n\tname = "Files"' } do
			world.start({
				components = 'Component "upload.example.com"\n\tcomponent_secret = "s"' .. name;
				extra = ('component_ports = { %d }\ncomponent_interfaces = { "127.0.0.1" }'):format(port);
			});
			world.login(user);
			local server = listen();
			for _ = 1, 2 do
				local answer = upload("/msg/user", png, "image/png");
				assert.equal(503, answer.status, answer.body);
				assert.matches("upload%.example%.com", answer.body);
				assert.equal("5", answer.headers["retry-after"]);
			end
			local component = assert(socket.connect("127.0.0.1", port));
			component:send("<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='upload.example.com'>");
			local record = "";
			component:settimeout(0.05);
			-- The next stanza to the component that matches this pattern.
			local function read_to(pattern) --> captures
				wire.await("the component's " .. pattern, function ()
					local whole, _, part = component:receive(4096);
					record = record .. (whole or part or "");
					return record:find(pattern);
				end);
				local first, last = record:find(pattern);
				local found = record:sub(first, last);
				record = record:sub(last + 1);
				return found:match(pattern);
			end
			local id = read_to("<stream:stream.-id='([^']*)'.->");
			component:send("<handshake>" .. world.lua(("return require 'util.hashes'.sha1(%q, true)"):format(id .. "s")) .. "</handshake>");
			read_to("<handshake/>");
			local waiting = wire.send(world.request("/msg/user", png, { ["Content-Type"] = "image/png" }));
			local function reply(payload)
				local iq = read_to("(<iq.-</iq>)");
				component:send(("<iq type='result' id='%s' from='upload.example.com' to='%s'>%s</iq>"):format(iq:match("id='(.-)'"),
					iq:match("from='(.-)'"), payload));
			end
			reply("<query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:http:upload:0'/></query>");
			reply(("<slot xmlns='urn:xmpp:http:upload:0'><put url='http://127.0.0.1:%d/x'/><get url='https://example.com/x'/></slot>"):format(server.port));
			server.serve();
			assert.equal(201, waiting:answer().status);
			assert.equal("https://example.com/x", (receive()));
			component:close();
			server.close();
		end
	end);

	it("is found although other items of the host are silent, and the silent items are not asked for each file", function ()
		local hosts = world.defaults().hosts;
		local remote = neighbours.start(world,
			{
				hosts = { ["example.com"] = hosts["example.com"] }, names = { "example.com" }, components = "";
				extra = 'disco_items = { { "a@silent.example" }, { "b@silent.example" }, { "c@silent.example" }, { "nowhere.example" } }';
			},
			{ hosts = { ["remote.example"] = { accounts = {} } }, names = { "remote.example" }, components = "" });
		finally(remote.stop);
		local function timed()
			local start_time = socket.gettime();
			local answer = upload("/msg/user", png, "image/png");
			assert.equal(503, answer.status, answer.body);
			return socket.gettime() - start_time;
		end
		-- Only the first upload waits for the silent items. A busy machine may delay some of the others.
		local first = timed();
		local least = math.min(timed(), timed(), timed());
		assert.is_true(least < first / 2, ("%.1f seconds, and at first %.1f"):format(least, first));
	end);

	it("that stops reading a file times out after 30 seconds, and one that reads slowly does not", function ()
		local server = assert(socket.bind("127.0.0.1", 0));
		assert(server:setoption("recv-buffer-size", 64 * 1024)); -- small, so that the progress is visible
		local _, port = server:getsockname();
		world.start({
			components = 'Component "upload.example.com" "http_file_share"\n\thttp_file_share_size_limit = 11 * 1024 * 1024\n'
				.. ('\thttp_file_share_base_url = "http://127.0.0.1:%d/x"'):format(port);
		});
		world.login(user);
		-- The time limit is ten times shorter.
		local source, count = world.plugin_file("upload_request.lib.lua"):gsub("local silence = 30;", "local silence = 3;");
		assert.equal(1, count);
		world.plugin_file("upload_request.lib.lua", source);
		assert(world.module("reload"));
		local large = ("0123456789abcdef"):rep(10 * 65536 - 64);
		local function start(body)
			local waiting = wire.send(world.request("/msg/user", body, { ["Content-Type"] = "image/png" }));
			local connection = assert(server:accept());
			connection:settimeout(20);
			return waiting, connection;
		end
		local memory = [[collectgarbage() collectgarbage() return collectgarbage("count")]];
		local baseline = world.lua(memory);
		for _, body in ipairs { png, large } do
			local waiting, connection = start(body);
			local start_time = socket.gettime();
			local answer = waiting:answer();
			assert.equal(504, answer.status, answer.body);
			local seconds = socket.gettime() - start_time;
			assert.is_true(seconds > 2 and seconds < 10, seconds .. " seconds");
			connection:close();
		end
		wire.await("the memory of the files", function () return world.lua(memory) < baseline + 3000; end);
		-- Takes half a megabyte at a time, for twice as long.
		local waiting, connection = start(large);
		repeat local line = assert(connection:receive("*l")); until line == "";
		for _ = 1, 12 do
			assert(connection:receive(512 * 1024));
			socket.sleep(0.5);
		end
		assert.is_false(waiting:arrived());
		assert(connection:receive(#large - 12 * 512 * 1024));
		connection:send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
		assert.equal(201, waiting:answer().status);
		receive();
		connection:close();
		server:close();
	end);
end);

it("a service of another server, which the sender's host names (disco_items), gets no file if its URL is local or lacks https", function ()
	local hosts = world.defaults().hosts;
	local server = listen();
	local function try(external_url)
		local remote = neighbours.start(world,
			{
				hosts = { ["example.com"] = hosts["example.com"] }, names = { "example.com" }, components = "";
				extra = 'disco_items = { { "upload.remote.example", "files" } }';
			},
			{
				hosts = { ["remote.example"] = { accounts = { carol = "p4ss-of-carol" } } }, names = { "remote.example", "upload.remote.example" };
				components = 'Component "upload.remote.example" "http_file_share"\n\tmodules_enabled = { "dialback", "spec_names" }\n'
					.. ('\thttp_external_url = %q\n\thttp_file_share_access = { "example.com" }\n'):format(external_url:format(server.port));
			});
		local answer = upload("/msg/user", png, "image/png");
		assert.is_false(server.is_asked());
		assert.same({}, world.errors());
		assert.same({}, remote.errors());
		remote.stop();
		world.stop();
		assert.equal(502, answer.status, answer.body);
		return answer.body;
	end
	for _, url in ipairs { "https://127.0.0.1:%d/", "https://[::1]:%d/", "https://[::ffff:127.0.0.1]:%d/", "https://localhost:%d/" } do
		assert.is_truthy(try(url):find("cannot be reached by HTTP", 1, true), url);
	end
	assert.is_truthy(try("https://10.0.0.1:%d/"):find("not on the Internet", 1, true));
	assert.is_truthy(try("http://files.example:%d/"):find("without https", 1, true));
	server.close();
end);
