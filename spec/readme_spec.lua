--[[ README.markdown and docs/*.md are true: every command with curl is run against a real Prosody.

In a block of `sh` (a command) or `crontab` (one line), the lines at the end that begin with # tell what comes of it, and are
compared with it:

	# 404 nobody@example.com: …        the status, and the body; none told, none there
	# → user@example.com: Hello        a message that arrives, by its text, or as a stanza that begins with <message;
	                                   nothing else arrives anywhere

`…` stands for anything. The blocks are run in the order of the page, in a folder that holds report.txt and what a block
of `netrc` on the page says (as /etc/NAME.netrc). $TOKEN, and every pmsg_…_…, is the token that the line above of
TOKEN=$(prosodyctl …) makes: each page has one of its own. A block of `jinja` is the template that its first line names.
A block that begins with #!/bin/sh is run with backup.service as its argument. A block of `log` holds lines that are in
Prosody's log in the end. A block of `console` holds a command of another program, which is not run. Each line of `sh` that
begins with prosodyctl mod_post_msg must succeed. A curl line anywhere else is a failure. A block below a line of
<!-- spec/NAME_spec.lua --> is left to that spec, which must read the page.
]]

local fail = require "busted".fail;
local pages = require "spec.support.pages";
local output_of = require "spec.support.programs".output_of;
local world = require "spec.support.world";

local python = os.getenv("PYTHON") or "/usr/bin/python3";
local clients = { "me@example.com", "user@example.com", "other@example.com" };

local function write(path, text)
	local file = assert(io.open(path, "wb"));
	file:write(text);
	file:close();
end

-- Reading

-- Of all pages: curl lines that are not run, lines of the log, templates.
local escaped, log_lines, templates = {}, "", {};

local function has_curl(text) return text:find("%f[%w]curl%f[%W]") ~= nil; end

-- Each block gets its commands and their expected results { code, status, body, messages }, or `wrong`: a fault in the block.
local function read_block(block)
	local last = #block.lines;
	while last > 0 and block.lines[last]:match("^# ") do last = last - 1; end
	block.code = table.concat(block.lines, "\n", 1, last) .. "\n";
	block.messages = {};
	for i = last + 1, #block.lines do
		local line = block.lines[i];
		local status, body = line:match("^# (%d%d%d) ?(.*)$");
		local address, text = line:match("^# → (%S+): (.*)$");
		if status and not block.status then
			block.status, block.body = tonumber(status), body;
		elseif address and block.status then
			table.insert(block.messages, { address = address, text = text });
		else
			block.wrong = "not an expectation: " .. line;
		end
	end
	if not block.status then
		block.wrong = "nothing below the command says what comes of it (# STATUS)";
	end
	local _, commands = block.code:gsub("%f[%w]curl%f[%W]", "");
	if commands ~= 1 then
		block.wrong = commands .. " curl commands in one block, which should be one";
	end
	return block;
end

local token_line = "^TOKEN=%$%((prosodyctl mod_post_msg token add [^\n]*)%)\n$";

-- > { name, runnable (blocks to run), commands (of prosodyctl), netrc }
local function read_page(name)
	local page = { name = name, runnable = {}, commands = {}, netrc = "" };
	local blocks, elsewhere = pages.code(name);
	for _, block in ipairs(blocks) do
		local curl, shell = has_curl(block.text), block.language == "sh";
		if block.spec then
			assert(pages.read(block.spec):find(name, 1, true), block.spec .. " does not read " .. name);
		elseif curl and (shell or block.language == "crontab") then
			table.insert(page.runnable, read_block(block));
		elseif curl and block.language ~= "console" then
			table.insert(escaped, ("%s: a block of %s with curl in it"):format(block.place, block.language));
		elseif shell and block.text:match(token_line) then
			block.makes_token = block.text:match(token_line);
			table.insert(page.runnable, block);
		elseif shell then
			for _, line in ipairs(block.lines) do
				if line:match("^prosodyctl mod_post_msg ") then table.insert(page.commands, line); end
			end
		elseif block.language == "netrc" then
			page.netrc = page.netrc .. block.text;
		elseif block.language == "log" then
			log_lines = log_lines .. block.text;
		elseif block.language == "jinja" then
			table.insert(templates, block.text);
		end
	end
	for _, code in ipairs(elsewhere) do
		local text = code.text;
		if has_curl(text) and (not code.span or text:find("curl%s") and
				(text:find("/msg", 1, true) or text:find("://", 1, true) or text:find("%s%-u%s"))) then
			table.insert(escaped, code.place .. ": " .. text);
		end
	end
	return page;
end

-- Comparing

local function pattern_of(text)
	return "^" .. text:gsub("%p", "%%%0"):gsub("…", ".-") .. "$";
end

-- A stanza with the attributes of each tag in alphabetical order, and without the id of the archive.
local function in_order(raw)
	return (raw:gsub("<([^%s/>!?]+)([^>]*)>", function (name, rest)
		local attributes = {};
		for attribute in rest:gmatch("[^%s=]+='[^']*'") do attributes[#attributes + 1] = " " .. attribute; end
		table.sort(attributes);
		return "<" .. name .. table.concat(attributes) .. (rest:match("/$") or "") .. ">";
	end):gsub("<stanza%-id [^>]*xmlns='urn:xmpp:sid:0'/>", ""));
end

local entities = { lt = "<", gt = ">", amp = "&", quot = '"', apos = "'" };

local function arrived_as(listed_versions, raw)
	if listed_versions:match("^<message") then
		return in_order(raw):match(pattern_of(in_order(listed_versions))) ~= nil;
	end
	local body = raw:match("^<message .-<body>(.*)</body></message>$") or raw:match("^<message .-<body>(.-)</body><");
	return body ~= nil and (body:gsub("&(%a+);", entities)):match(pattern_of(listed_versions)) ~= nil;
end

-- Running

local folder;
local token, netrc; -- of the current page; the token is nil until the page has made it

-- Replaces the example tokens by the real token.
local function with_token(text)
	return (text:gsub("pmsg_%x+_…", token or error("a token is used before TOKEN=$(…) makes it", 0)));
end

local function run_shell(code)
	if code:find("$TOKEN", 1, true) then code = with_token("TOKEN=pmsg_0_…\n") .. code; end
	if code:find("/etc/%w+[_%w]*%.netrc") then
		write(folder .. "/netrc", with_token(netrc));
		code = code:gsub("/etc/[%w_]+%.netrc", folder .. "/netrc");
	end
	return world.curl(("cd '%s'\nset -- backup.service\nsystemctl() { echo \"$@\"; }\n%s"):format(folder, code));
end

-- Runs a line with the id `id`; `feed` is the content of the file that it reads. > standard output
local function prosodyctl(line, id, feed)
	local words = {};
	line = line:gsub(" < [%w.]+$", ""):gsub("%f[%x]" .. ("%x"):rep(16) .. "%f[%X]", id or "%0");
	for word in output_of(line:gsub("^prosodyctl", "printf '%%s\\n'")):gmatch("[^\n]+") do words[#words + 1] = word; end
	local out, err, status = world.prosodyctl(words, feed);
	-- The names of this server have no addresses, and `check` says so.
	if status ~= 0 and not line:find(" check$") then fail(line .. "\n" .. err); end
	return out;
end

local function run(block)
	if block.makes_token then
		token = prosodyctl(block.makes_token):match("(pmsg_[^\n]*)\n$");
		return;
	end
	if block.wrong then fail(block.wrong .. "\n" .. block.code); end
	world.collect();
	local code = block.code;
	if block.language == "crontab" then
		code = code:gsub("^%S+ %S+ %S+ %S+ %S+%s+", "");
	end
	local ok, status, body = pcall(run_shell, code);
	local complaints = {};
	local function complain(text, ...) complaints[#complaints + 1] = text:format(...); end
	if not ok then
		complain("%s", status);
	else
		body = body:gsub("\n$", "");
		if status ~= block.status then complain("the status is %d", status); end
		if not body:match(pattern_of(block.body)) then complain("the body is %s", body == "" and "empty" or body); end
	end

	local arrived, trouble = world.collect();
	for _, text in ipairs(trouble) do complain("%s", text); end
	for _, message in ipairs(block.messages) do
		local raw = table.remove(assert(arrived[message.address], "nobody is logged in as " .. message.address), 1);
		if not raw then
			complain("nothing arrived at %s", message.address);
		elseif not arrived_as(message.text, raw) then
			complain("%s received %s", message.address, in_order(raw));
		end
	end
	for address, messages in pairs(arrived) do
		for _, raw in ipairs(messages) do complain("%s received, besides, %s", address, raw); end
	end
	if complaints[1] then
		fail(("%s:\n%s--- but\n%s"):format(block.place, block.text, table.concat(complaints, "\n")));
	end
end

local function start()
	local hosts = world.defaults().hosts;
	hosts["example.com"].modules = { "post_msg", "tokenauth" };
	hosts["example.com"].lines = 'post_msg_templates = "templates"';
	local files = {};
	for _, template in ipairs(templates) do
		files["templates/" .. template:match("^{# (%w+%.j2): ")] = template;
	end
	world.start({
		hosts = hosts; files = files; https = { "example.com" };
		components = 'Component "rooms.example.com" "muc"\n\tmuc_room_locking = false';
	});
	world.login((table.unpack or unpack)(clients));
	world.send("user@example.com", "<presence to='team@rooms.example.com/user'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
	-- The client of user@ sends receipts.
	world.lua([[
		local st = require "util.stanza";
		prosody.hosts["example.com"].events.add_handler("message/bare", function (event)
			local attr = event.stanza.attr;
			if attr.to == "user@example.com" and event.stanza:get_child("request", "urn:xmpp:receipts") then
				module:add_timer(0.2, function ()
					module:send(st.message({ from = "user@example.com/phone"; to = attr.from; type = attr.type; id = "r-"..attr.id })
						:tag("received", { xmlns = "urn:xmpp:receipts"; id = attr.id }));
				end);
			end
		end, 2000);
	]]);
	folder = os.tmpname();
	os.remove(folder);
	assert(output_of("mkdir '" .. folder .. "' && echo made") == "made\n");
	write(folder .. "/report.txt", "3 disks, all well.");
	world.collect();
end

-- Loads the module with a wrong library, and then again with the right one.
local function try_library(library)
	world.module("unload");
	world.plugin_file("post_msg.so", library or "");
	if not library then os.remove(world.server.plugins .. "/mod_post_msg/post_msg.so"); end
	assert.is_nil(world.module("load"));
end

-- The output of a command must contain this text; ID is the id of a token that was made before.
local prints = {
	["token list"] = "\nID  me@example%.com  made ";
	["template list"] = "\ndoor  [^\n]*/templates/door%.j2\n";
	["template show"] = "{%%";
	["template try"] = "FIRING: ";
	["check"] = "url: http://127%.0%.0%.1:%d+/msg %(on this machine only, with the header Host: example%.com%)\n";
	["start me@example.com user@example.com"] = "user@example%.com has received the message%.\nThis line sends the next message:\n\ncurl ";
};

describe("README.markdown and docs/", function ()
	lazy_setup(start);

	teardown(function ()
		if folder then os.execute("rm -r '" .. folder .. "'"); end
		world.stop();
	end);

	local count = 0;
	for _, name in ipairs(pages.names) do
		local page = read_page(name);
		count = count + #page.runnable;
		describe(name, function ()
			lazy_setup(function () token, netrc = nil, page.netrc; end);

			for _, block in ipairs(page.runnable) do
				it(block.place .. ": " .. block.lines[1], function () run(block); end);
			end

			for _, line in ipairs(page.commands) do
				it(line, function ()
					local id = prosodyctl("prosodyctl mod_post_msg token add me@example.com"):match("pmsg_(%x+)_");
					local payload = pages.find("templates/alertmanager/firing.case", "\n\n(.-)\n=> ");
					local out = prosodyctl(line, id, payload);
					for what, pattern in pairs(prints) do
						if line:find(what, 1, true) then assert.is_truthy(out:find((pattern:gsub("ID", id))), out); end
					end
				end);
			end
		end);
	end

	it("have every curl line in a block that is run", function ()
		assert.same({}, escaped);
		assert.is_true(count > 40, count .. " blocks to run");
	end);

	it("show log lines exactly", function ()
		local library = world.plugin_file("post_msg.so");
		try_library(nil);
		try_library(library:sub(1, -2));
		try_library((library:gsub("for Lua %d%.%d, (%d+) bytes\n$", "for Lua 5.0, %1 bytes\n")));
		world.plugin_file("post_msg.so", library);
		assert.is_true(world.module("load"));
		local log, lines = "\n" .. world.log(), 0;
		for line in log_lines:gsub("192%.0%.2%.%d+", "127.0.0.1"):gmatch("[^\n]+") do
			local pattern = pattern_of(line):gsub("%.%-", "[^\n]-"):sub(2, -2) .. "\n";
			if not log:find(pattern) then fail("not in the log: " .. line .. "\n" .. table.concat(world.errors(), "\n")); end
			lines = lines + 1;
		end
		assert.is_true(lines >= 4);
	end);

	it("show what `token add` prints with a format", function ()
		local line, shown = pages.read("docs/reference.md"):match("```console\n%$ (prosodyctl mod_post_msg token add [^\n]*)\n(.-)```");
		local words = {};
		for word in line:gsub("^%S+ ", ""):gmatch("%S+") do words[#words + 1] = word; end
		local out, err = world.prosodyctl(words);
		local first, rest = err:match("^([^\n]*\n)(.*)$");
		local printed = first .. out:match("[^\n]*\n$") .. rest;
		shown = shown:gsub("5f0c1d2e3a4b5968", "…"):gsub("5281", tostring(world.server.https_port));
		assert.is_truthy(printed:match(pattern_of(shown)), printed);
	end);

	it("show how to make a persistent room with the shell, which has an owner and gets messages", function ()
		for _, what in ipairs { "muc:create", "muc:room" } do
			prosodyctl(pages.find("docs/reference.md", "\n(prosodyctl shell '" .. what .. "[^\n]*)\n"));
		end
		local function post()
			return (world.curl("curl http://example.com:5280/msg/alerts@rooms.example.com -u me@example.com:mypassword -d Alert"));
		end
		assert.equal(201, post());
		assert.same({ "owner", true }, world.lua([[
			local room = prosody.hosts["rooms.example.com"].modules.muc.get_room_from_jid("alerts@rooms.example.com");
			return { (room:get_affiliation("me@example.com")), room:get_persistent() };
		]]));
	end);

	it("show a rule for fail2ban that finds the line of the log", function ()
		local rule = pages.find("docs/recipes.md", "\nfailregex = ([^\n]+)");
		write(folder .. "/rule", rule);
		write(folder .. "/lines", world.log());
		write(folder .. "/find.py", [[
import re, sys
rule = open(sys.argv[1]).read().replace("<HOST>", r"(\S+)")
print({found[1] for found in re.finditer(rule, open(sys.argv[2], encoding="utf-8").read(), re.M)})
]]);
		local found = output_of(("%s %s/find.py %s/rule %s/lines 2>&1"):format(python, folder, folder, folder));
		assert.equal("{'127.0.0.1'}\n", found);
	end);

	it("list the Prosodys of `make test-matrix`", function ()
		local listed_versions, there = {}, {};
		for prosody, lua, target in pages.find("docs/running.md", "<!%-%- matrix %-%->(.-)<!%-%- /matrix %-%->")
			:gmatch("\n| ([%d.]+) | ([%d.]+) | `make test%-prosody%-([^`]+)` |") do
			listed_versions[#listed_versions + 1] = target;
			assert.equal(prosody:sub(1, #target:match("^[%d.]+")) .. "-lua" .. lua, target);
		end
		for target in pages.read("Makefile"):match("\nMATRIX :?= ([^\n]+)"):gmatch("%S+") do there[#there + 1] = target; end
		assert.same(there, listed_versions);
	end);

	it("name existing targets of make", function ()
		local rules = "\n" .. pages.read("Makefile");
		for target in pages.read("docs/development.md"):gmatch("\n| `make ([^` ]+)") do
			assert.is_truthy(rules:find("\n" .. target .. ":", 1, true), "the Makefile has no rule for " .. target);
		end
	end);
end);
