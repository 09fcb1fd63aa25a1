-- Reads and runs the files of spec/cases; spec/cases_spec.lua says how to write one.

local fail = require "busted".fail;
local json = require "dkjson";
local mime = require "mime";
local world = require "spec.support.world";

local case = {};

-- Reading

local function expand(text)
	return (text:gsub("<<(.-)>>", function (directive)
		local what, count = directive:match("^(.-) %* (%d+)$");
		what = what or directive;
		local bytes;
		if what:match('^".*"$') then
			bytes = what:sub(2, -2);
		elseif what:match("^base64 ") then
			bytes = mime.b64(what:sub(8));
		elseif (what .. " "):gsub("%x%x ", "") == "" then
			bytes = what:gsub("(%x%x) ?", function (hex) return string.char(tonumber(hex, 16)); end);
		else
			error("not a directive: <<" .. directive .. ">>; a literal << is <<3C 3C>>", 0);
		end
		return bytes:rep(tonumber(count or 1));
	end));
end

local function text_of(lines, first)
	return (table.concat(lines, "\n", first):gsub("\n$", ""));
end

-- The lines of a request → the bytes to send, or a command line, or a stanza that a client sends.
local function read_request(lines)
	if lines[1]:match("^%$ ") then
		return { command = text_of(lines):sub(3) };
	end
	local sender = lines[1]:match("^<= (%S+)$");
	if sender then
		return { sender = sender, stanza = expand(text_of(lines, 2)) };
	end
	local method, target = lines[1]:match("^(%S+) (%S+)");
	assert(method, "not a request line: " .. lines[1]);
	local head = { lines[1]:match(" HTTP/1%.%d$") and lines[1] or lines[1] .. " HTTP/1.1" };
	local given = {};
	local body = "";
	for i = 2, #lines do
		local line = lines[i];
		if line == "" then
			body = expand(text_of(lines, i + 1));
			break;
		elseif line:sub(1, 1) == "-" then
			given[line:sub(2):lower()] = true;
		else
			given[line:match("^[^:]*"):lower()] = true;
			head[#head + 1] = line;
		end
	end
	if not given["host"] then head[#head + 1] = "Host: example.com"; end
	if not given["authorization"] then head[#head + 1] = "Authorization: " .. world.basic("me@example.com"); end
	if not given["content-length"] and not given["transfer-encoding"] and (method == "POST" or body ~= "") then
		head[#head + 1] = "Content-Length: " .. #body;
	end
	return { method = method, target = target, bytes = expand(table.concat(head, "\r\n")) .. "\r\n\r\n" .. body };
end

local function read_answer(status, lines)
	local answer = { status = tonumber(status) };
	for i, line in ipairs(lines) do
		if line == "" then
			local body = text_of(lines, i + 1);
			if body ~= "" then answer.body = expand(body); end
			return answer;
		end
		answer[#answer + 1] = line;
	end
	return answer;
end

-- The text of a case file → { title = "…", { request, answer, stanzas }, … }
function case.read(text)
	local results, lines, sections = {}, {}, nil;
	local function finish_section()
		local what = sections and sections.last;
		if not what then return; end
		if what:match("^%d%d%d$") then
			sections.answer = read_answer(what, lines);
		elseif what ~= "nobody" then
			table.insert(sections.stanzas, { address = what, text = expand(text_of(lines)) });
		end
	end
	local function finish_step()
		finish_section();
		if sections then table.insert(results, sections); end
		sections, lines = nil, {};
	end
	for line in (text:gsub("\n?$", "\n")):gmatch("(.-)\n") do
		local what = line:match("^=> (%S+)$");
		if what and not sections then
			sections = { request = read_request(lines), stanzas = {}, last = what };
			lines = {};
		elseif what then
			finish_section();
			sections.last, lines = what, {};
		elseif sections and line == "---" then
			finish_step();
		elseif not sections and #lines == 0 and (line == "" or line:sub(1, 1) == "#") then
			results.title = results.title or line:match("^# (.+)$");
		else
			lines[#lines + 1] = line;
		end
	end
	assert(sections, "no => after the request");
	finish_step();
	assert(results.title, "no first line `# what is checked`");
	return results;
end

-- Comparing

local function shown(text)
	if #text > 1500 then text = text:sub(1, 1000) .. "…" .. text:sub(-200) .. (" (%d bytes)"):format(#text); end
	return (text:gsub("\r\n", "\n"):gsub("[^\n\t\32-\126\128-\255]", function (c) return ("<<%02X>>"):format(c:byte()); end));
end

-- A stanza with the attributes of each tag in alphabetical order (Prosody's order varies), and
-- without the <stanza-id/> of the recipient's archive.
local function in_order(raw, keep_stanza_id)
	raw = raw:gsub("<([^%s/>!?]+)([^>]*)>", function (name, rest)
		local slash = rest:match("/$") or "";
		local attributes = {};
		for attribute in rest:gmatch("[^%s=]+='[^']*'") do attributes[#attributes + 1] = " " .. attribute; end
		table.sort(attributes);
		return "<" .. name .. table.concat(attributes) .. slash .. ">";
	end);
	if not keep_stanza_id then
		raw = raw:gsub("<stanza%-id [^>]*xmlns='urn:xmpp:sid:0'/>", "");
	end
	return raw;
end

-- Whether a stanza is the expected one, where ='*' stands for any value.
local function same_stanza(expected, raw)
	expected = in_order(expected, true);
	raw = in_order(raw, expected:find("<stanza-id ", 1, true));
	local pattern = expected:gsub("%p", "%%%0"):gsub("%%=%%'%%%*%%'", "='[^']+'");
	return raw:match("^" .. pattern .. "$") ~= nil, raw;
end

local function matches(expected, actual)
	local pattern = expected:match("^~ (.*)$");
	if pattern then return actual ~= nil and actual:find(pattern) ~= nil; end
	return actual == expected;
end

local function member(value, path)
	for name in path:gmatch("[^.]+") do
		if type(value) ~= "table" then return nil; end
		value = value[tonumber(name) or name];
	end
	return value;
end

-- Compares an answer with a line of the case. > the difference, or nil
local function against_line(line, answer)
	local absent, path, sign, value = line:match("^(%-?)%.(%S+) ?([=~]?) ?(.*)$");
	if path then
		local actual = member(json.decode(answer.body), path);
		local ok;
		if absent == "-" then
			ok = actual == nil;
		elseif sign == "~" then
			ok = type(actual) == "string" and actual:find(value) ~= nil;
		elseif value == "*" then
			ok = type(actual) == "string" and actual ~= "";
		else
			ok = actual ~= nil and actual == json.decode(value);
		end
		return not ok and ("expected %s, it is %s"):format(line, json.encode(actual)) or nil;
	end
	if line:match("^~ ") then
		return not matches(line, answer.body) and "expected a body with " .. line or nil;
	end
	local name = line:match("^%-(%S+)$");
	if name then
		return answer.headers[name:lower()] and "expected no " .. name or nil;
	end
	name, value = line:match("^([^:]+): (.*)$");
	assert(name, "not an expectation: " .. line);
	local actual = answer.headers[name:lower()];
	return not matches(value, actual) and ("expected %s, it is %s"):format(line, tostring(actual)) or nil;
end

-- Checks the rules for all answers. > the fault, or nil
local function against_rules(answer)
	if answer.status == 500 then return "500 is never the fault of a request"; end
	local media_type = (answer.headers["content-type"] or ""):match("^[^; ]*");
	if answer.status < 300 or not answer.headers["content-type"] and answer.body == "" then return; end
	if media_type == "application/problem+json" then
		local problem = json.decode(answer.body);
		if type(problem) ~= "table" or problem.status ~= answer.status or not problem.title or not problem.detail then
			return "expected status, title and detail in the problem (RFC 9457)";
		end
	elseif media_type == "text/plain" then
		if not answer.body:match("^[^\n]+\n?$") then return "expected one line of text"; end
	elseif answer.status ~= 207 then
		return "expected text/plain or application/problem+json";
	end
end

-- Running

local function send(request)
	if request.command then
		local status, body = world.curl(request.command);
		return { status = status, headers = {}, body = body };
	elseif request.sender then
		world.send(request.sender, request.stanza);
		return;
	end
	return world.http(request.bytes);
end

local function secrets_of(request)
	local secrets = { request.bytes and request.bytes:match("Authorization: %a+ ([^\r]+)") };
	for _, password in pairs(world.password) do secrets[#secrets + 1] = password; end
	return secrets;
end

local function run_step(step)
	local request, expected = step.request, step.answer;
	local complaints = {};
	local function complain(text) complaints[#complaints + 1] = text; end
	local mark = world.log_mark();

	local ok, answer = pcall(send, request);
	if not ok then
		complain(answer);
		answer = nil;
	elseif answer and expected then
		if answer.status ~= expected.status then complain("expected " .. expected.status .. ", it is " .. answer.status); end
		for _, line in ipairs(expected) do complain(against_line(line, answer)); end
		if expected.body and answer.body:gsub("\n$", "") ~= expected.body:gsub("\n$", "") then
			complain("expected the body " .. shown(expected.body));
		elseif not expected.body and #expected == 0 and expected.status < 300 and answer.body ~= "" then
			complain("expected no body");
		end
	end
	if answer and not request.command then complain(against_rules(answer)); end

	local arrived, trouble = world.collect();
	for _, text in ipairs(trouble) do complain(text); end
	case.healthy = not trouble[1];
	for _, stanza in ipairs(step.stanzas) do
		local raw = table.remove(assert(arrived[stanza.address], "nobody is logged in as " .. stanza.address), 1);
		local same, ordered = same_stanza(stanza.text, raw or "");
		if not raw then
			complain("nothing arrived at " .. stanza.address .. ", expected\n" .. shown(stanza.text));
		elseif not same then
			complain(("%s received\n%s\n  expected\n%s"):format(stanza.address, shown(ordered), shown(in_order(stanza.text, true))));
		end
	end
	for address, messages in pairs(arrived) do
		for _, raw in ipairs(messages) do complain(address .. " received what nobody expects:\n" .. shown(raw)); end
	end

	for _, line in ipairs(world.errors(mark)) do complain("in Prosody's log: " .. line); end
	local log = world.log(mark);
	for _, secret in ipairs(secrets_of(request)) do
		if log:find(secret, 1, true) then complain("a secret is in Prosody's log: " .. secret); end
		if answer and answer.body:find(secret, 1, true) then complain("a secret is in the answer: " .. secret); end
	end

	if complaints[1] then
		local answer_text = answer and ("%d %s\n%s"):format(answer.status, answer.headers["content-type"] or "", shown(answer.body)) or "none";
		fail(("\n--- request\n%s\n--- answer\n%s\n--- but\n%s"):format(
			shown(request.bytes or request.command or request.stanza), answer_text, table.concat(complaints, "\n")));
	end
end

-- The clients that are logged in while a case runs. Anything unexpected at any of them is a failure.
local clients = { "me@example.com", "user@example.com", "other@example.com", "carol@second.example" };

-- Starts Prosody for cases, with the options of world.start.
function case.start(options)
	world.start(options);
	world.login((table.unpack or unpack)(clients));
	case.healthy = true;
end

function case.run(results)
	if not case.healthy then -- an earlier case had clients disconnected
		world.logout((table.unpack or unpack)(clients));
		world.login((table.unpack or unpack)(clients));
	end
	world.collect();
	for _, step in ipairs(results) do run_step(step); end
end

return case;
