-- What programs send to publish with ntfy's protocol: every parameter, and every example of its documentation.
-- spec/support/ntfy_cases.lua has the cases, and says what one is.

local cases = require "spec.support.ntfy_cases";
local fail = require "busted".fail;
local json = require "dkjson";
local mime = require "mime";
local world = require "spec.support.world";

local clients = { "me@example.com", "user@example.com", "other@example.com" };
local tokens = {};

local upload_service = [[
Component "upload.example.com" "http_file_share"
	http_host = "127.0.0.1"
]];

local function make_token(...)
	local out, err, status = world.prosodyctl({ "mod_post_msg", "token", "add", "me@example.com", "--as", "ntfy", ... });
	assert.equal(0, status, err);
	return out:match("([^\n]*)\n$");
end

-- Base64 without padding, with the alphabet of URLs: the form of the parameter `auth`.
local function url_base64(text)
	return ((mime.b64(text)):gsub("=", ""):gsub("%+", "-"):gsub("/", "_"));
end

-- How a case presents its token. > a header's value, a parameter of the query
local credentials = {
	["bearer"] = function (token) return "Bearer " .. token; end;
	["bearer in lower case"] = function (token) return "bearer " .. token; end;
	["basic"] = function (token) return "Basic " .. mime.b64("me@example.com:" .. token); end;
	["basic without a name"] = function (token) return "Basic " .. mime.b64(":" .. token); end;
	["password"] = function () return world.basic("me@example.com"); end;
	["token"] = function (token) return nil, "token=" .. token; end;
	["auth bearer"] = function (token) return nil, "auth=" .. url_base64("Bearer " .. token); end;
	["auth basic"] = function (token) return nil, "auth=" .. url_base64("Basic " .. mime.b64("me@example.com:" .. token)); end;
	["auth basic without a name"] = function (token) return nil, "auth=" .. url_base64("Basic " .. mime.b64(":" .. token)); end;
	["auth password"] = function () return nil, "auth=" .. url_base64(world.basic("me@example.com")); end;
	["auth broken"] = function (token) return nil, "auth=Bearer%20" .. token; end;
	["authorization bearer"] = function (token) return nil, "authorization=" .. url_base64("Bearer " .. token); end;
};

local function request_of(case)
	local authorization, parameter = credentials[case.credentials or "bearer"](tokens[case.token or "one"]);
	local method, body = case.method or "POST", case.body or "";
	local query = {};
	if case.query then query[1] = case.query; end
	query[#query + 1] = parameter;
	local headers = { ["Host"] = "example.com", ["Authorization"] = authorization };
	if method ~= "GET" then headers["Content-Length"] = #body; end
	if method == "POST" and body ~= "" then headers["Content-Type"] = "application/x-www-form-urlencoded"; end
	for name, value in pairs(case.headers or {}) do headers[name] = value or nil; end
	local lines = { ("%s /msg%s%s HTTP/1.1"):format(method, case.path, query[1] and "?" .. table.concat(query, "&") or "") };
	for name, value in pairs(headers) do lines[#lines + 1] = name .. ": " .. value; end
	return table.concat(lines, "\r\n") .. "\r\n\r\n" .. body;
end

local function unescaped(text)
	return text and (text:gsub("&(%w+);", { amp = "&", lt = "<", gt = ">", quot = '"', apos = "'" }));
end

local function shown(value)
	local text = type(value) == "string" and value or json.encode(value) or "nil";
	text = text:gsub("[%z\1-\9\11-\31\127]", function (c) return ("<%02X>"):format(c:byte()); end);
	return #text > 1200 and text:sub(1, 1200) .. "…" or text;
end

local function same(a, b)
	if type(a) ~= "table" or type(b) ~= "table" then return a == b; end
	for key, value in pairs(a) do
		if not same(value, b[key]) then return false; end
	end
	for key in pairs(b) do
		if a[key] == nil then return false; end
	end
	return true;
end

local function fetch(url)
	local port, path = url:match("^http://127%.0%.0%.1:(%d+)(/.*)$");
	if port ~= tostring(world.server.http_port) then return nil; end
	local answer = world.http(("GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"):format(path));
	return answer.status == 200 and answer.body or nil;
end

-- Compares the message that arrived with the expected one.
local function check_message(expected, raw, complain)
	local body = unescaped(raw:match("<body>(.-)</body>"));
	local url = unescaped(raw:match("<x xmlns='jabber:x:oob'><url>(.-)</url></x>"));
	if expected.file then
		local content = url and fetch(url);
		local name = url and url:match("/([^/]*)$"):gsub("%%(%x%x)", function (hex) return string.char(tonumber(hex, 16)); end);
		if content ~= expected.file.content then complain("the file is %s, expected %s", content, expected.file.content); end
		if expected.file.name and name ~= expected.file.name then complain("the file's name is %s, expected %s", name, expected.file.name); end
	elseif url ~= expected.oob_url then
		complain("oob_url is %s, expected %s", url, expected.oob_url);
	end
	local expected_body = expected.body or expected.file and url;
	if body ~= expected_body then complain("the body is\n%s\n  expected\n%s", body, expected_body); end
	if raw:find("<subject>", 1, true) then complain("a subject arrived: %s", raw); end
	if raw:match(" from='([^']*)'") ~= "me@example.com" then complain("it comes from %s", raw:match(" from='([^']*)'")); end
end

-- Compares the answer to a message that was sent: its `id` is the message's.
local function check_success(case, answer, raw, complain)
	local object = json.decode(answer.body);
	if type(object) ~= "table" then return complain("the answer is no JSON"); end
	local topic = case.topic;
	if topic == nil then topic = case.path:match("^/([^/]*)"); end
	local expected = { event = "message"; topic = topic or object.topic; message = case.answer.message or object.message };
	for name, value in pairs(case.answer) do expected[name] = value; end
	expected.id = raw and raw:match("^<message[^>]- id='([^']*)'") or object.id;
	for _, name in ipairs { "id", "event", "topic", "message", "title", "priority", "tags", "click" } do
		if not same(object[name], expected[name]) then complain("%s is answered as %s, expected %s", name, object[name], expected[name]); end
	end
	if type(object.id) ~= "string" or object.id == "" then complain("no id"); end
	local now = os.time();
	if type(object.time) ~= "number" or math.abs(object.time - now) > 60 then complain("time is %s, it is now %d", object.time, now); end
	if type(object.expires) ~= "number" or object.expires <= now then complain("expires is %s", object.expires); end
end

-- Of a request that is refused: the members that ntfy's clients show. Without valid credentials the format is not known.
local function check_error(answer, complain)
	if answer.status == 401 or answer.status == 405 then return; end
	local object = json.decode(answer.body);
	if type(object) ~= "table" then return complain("the error is no JSON"); end
	if type(object.error) ~= "string" or object.error == "" then complain("no text of an error"); end
	if object.http ~= answer.status then complain("http is %s", object.http); end
	if type(object.code) ~= "number" then complain("code is %s", object.code); end
end

local function check(case)
	local complaints = {};
	local function complain(text, ...)
		local values = { ... };
		for i = 1, select("#", ...) do values[i] = shown(values[i]); end
		complaints[#complaints + 1] = text:format((table.unpack or unpack)(values));
	end
	world.collect();
	local mark = world.log_mark();
	local request = request_of(case);
	local answer = world.http(request);
	local messages, trouble = world.collect();
	for _, text in ipairs(trouble) do complain(text); end

	local status = case.status or 200;
	if answer.status ~= status then complain("the status is %s, expected %s", answer.status, status); end
	local expected_at = case.arrives and (case.arrives.at or "user@example.com");
	local raw;
	for _, address in ipairs(clients) do
		local count = #messages[address];
		if count ~= (address == expected_at and 1 or 0) then complain("%s received %s messages", address, count); end
		raw = raw or messages[address][1];
	end
	if case.arrives and raw then check_message(case.arrives, raw, complain); end
	if answer.status >= 300 then
		check_error(answer, complain);
	elseif status < 300 then
		check_success(case, answer, raw, complain);
	end
	for _, line in ipairs(world.errors(mark)) do complain("in the log: %s", line); end

	if complaints[1] then
		fail(("\n--- request\n%s\n--- answer\n%d %s\n%s\n--- but\n%s"):format(shown(request), answer.status,
			answer.headers["content-type"] or "", shown(answer.body), table.concat(complaints, "\n")));
	end
end

describe("ntfy's protocol", function ()
	lazy_setup(function ()
		world.start({ components = upload_service });
		world.login((table.unpack or unpack)(clients));
		tokens.one = make_token("--to", "user@example.com");
		tokens.host = make_token();
		tokens.two = make_token("--to", "user@example.com", "--to", "nobody@example.com");
		tokens.get = make_token("--to", "user@example.com", "--get");
	end);

	lazy_teardown(world.stop);

	for _, case in ipairs(cases) do
		it(case.name, function () check(case); end);
	end

	it("answers too many messages in its own form", function ()
		tokens.rate = make_token("--to", "user@example.com", "--rate", "1");
		check({ token = "rate"; path = "/house"; body = "one"; arrives = { body = "one" }; answer = { message = "one" } });
		check({ token = "rate"; path = "/house"; body = "two"; arrives = false; status = 429 });
	end);

	it("answers in its own form if the upload service is away", function ()
		assert.is_true(world.module("unload", "upload.example.com", "http_file_share"));
		check({ token = "one"; method = "PUT"; path = "/house"; body = "a\255\254b"; arrives = false; status = 503 });
	end);
end);
