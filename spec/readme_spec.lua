--[[ What README.markdown says is so: every command with curl in it is run against a real Prosody.

In a block of `sh` (a command), `crontab` (one line) or `python`, the lines at the end that begin with # tell what comes
of it, and are compared with it:

	# 404 nobody@example.com: …        the status, and the body; none told, none there
	# → user@example.com: Hello        a message that arrives, by its text, or as a stanza that begins with <message;
	                                   nothing else arrives anywhere

`…` stands for anything. The blocks are run in the order of the page, in a folder that holds report.txt and what a block
of `netrc` says (as /etc/post_msg.netrc). A block of `jinja` is the template that its first line names. $TOKEN, and every
pmsg_…_…, is the token that the first command with `token add` makes. A block that begins with #!/bin/sh is run with backup.service as its argument.
A block of `log` holds lines that are in Prosody's log in the end. A curl line anywhere else is a failure.
]]

local fail = require "busted".fail;
local world = require "spec.support.world";

local here = debug.getinfo(1, "S").source:match("^@(.*)/spec/") or ".";
local python = os.getenv("PYTHON") or "/usr/bin/python3";
local clients = { "me@example.com", "user@example.com", "other@example.com" };

local function read(path)
	local file = assert(io.open(path, "rb"));
	local text = file:read("*a");
	file:close();
	return text;
end

local function write(path, text)
	local file = assert(io.open(path, "wb"));
	file:write(text);
	file:close();
end

local function output_of(command)
	local pipe = assert(io.popen(command));
	local text = pipe:read("*a");
	pipe:close();
	return text;
end

local readme = read(here .. "/README.markdown");

-- Reading

-- The lines of a block → what it runs, and what comes of that: { code, status, body, messages }.
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
	if block.language ~= "python" and commands ~= 1 then
		block.wrong = commands .. " curl commands in one block, which should be one";
	end
	return block;
end

-- > the blocks to run, the curl lines that are in none of them, other blocks by language
local function read_page()
	local runnable, escaped, others = {}, {}, { log = {}, netrc = {}, sh = {}, jinja = {} };
	local block, number = nil, 0;
	for line in readme:gmatch("([^\n]*)\n") do
		number = number + 1;
		local fence = line:match("^%s*```(.*)$");
		if fence and not block then
			block = { language = fence, lines = {}, number = number + 1 };
		elseif fence then
			local text = table.concat(block.lines, "\n");
			local curl = text:find("%f[%w]curl%f[%W]");
			if block.language == "python" or curl and (block.language == "sh" or block.language == "crontab") then
				table.insert(runnable, read_block(block));
			elseif curl then
				table.insert(escaped, ("line %d: a block of %s with curl in it"):format(block.number, block.language));
			elseif others[block.language] then
				table.insert(others[block.language], text);
			end
			block = nil;
		elseif block then
			table.insert(block.lines, line);
		elseif line:match("^    ") or line:match("^\t") then
			if line:find("%f[%w]curl%f[%W]") then
				table.insert(escaped, ("line %d: %s"):format(number, line));
			end
		else
			for span in line:gmatch("`([^`]+)`") do
				if span:match("%f[%w]curl%s") and (span:find("/msg", 1, true) or span:find("://", 1, true) or span:find("%s%-u%s")) then
					table.insert(escaped, ("line %d: %s"):format(number, span));
				end
			end
		end
	end
	if block then table.insert(escaped, ("line %d: the block does not end"):format(block.number)); end
	return runnable, escaped, others;
end

local runnable, escaped, others = read_page();

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

local function arrived_as(told, raw)
	if told:match("^<message") then
		return in_order(raw):match(pattern_of(in_order(told))) ~= nil;
	end
	local body = raw:match("^<message .-<body>(.*)</body></message>$") or raw:match("^<message .-<body>(.-)</body><");
	return body ~= nil and (body:gsub("&(%a+);", entities)):match(pattern_of(told)) ~= nil;
end

-- Running

local folder, token;

-- A Python program whose connections lead to this Prosody, whatever host they name.
local python_driver = [[
import os, socket, sys
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]

port, program = int(sys.argv[1]), sys.argv[2]
connect = socket.create_connection
socket.create_connection = lambda address, *rest, **more: connect(("127.0.0.1", port), *rest, **more)
exec(compile(open(program, encoding="utf-8").read(), program, "exec"), {"__name__": "__main__"})
]];

-- With the token in place of those that stand for it.
local function with_token(text)
	return (text:gsub("pmsg_%x+_…", (token:gsub("%%", "%%%%"))));
end

local function run_python(code)
	write(folder .. "/driver.py", python_driver);
	write(folder .. "/program.py", with_token(code));
	local output = output_of(("%s %s/driver.py %d %s/program.py 2>%s/complaints"):format(python, folder, world.server.http_port, folder, folder));
	return tonumber(output) or error(output .. read(folder .. "/complaints"), 0), "";
end

local function run_shell(code)
	return world.curl(("cd '%s'\nTOKEN='%s'\nset -- backup.service\nsystemctl() { echo \"$@\"; }\n%s"):format(
		folder, token, (code:gsub("/etc/post_msg%.netrc", folder .. "/netrc"))));
end

local function run(block)
	if block.wrong then fail(block.wrong .. "\n" .. block.code); end
	world.collect();
	local code = block.code;
	if block.language == "crontab" then
		code = code:gsub("^%S+ %S+ %S+ %S+ %S+%s+", "");
	end
	local ok, status, body = pcall(block.language == "python" and run_python or run_shell, code);
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
		fail(("README.markdown, line %d:\n%s\n--- but\n%s"):format(block.number, table.concat(block.lines, "\n"),
			table.concat(complaints, "\n")));
	end
end

-- Runs the first command of prosodyctl that has these words; an id in it is `id`, and `feed` is what a file holds that
-- it reads. > standard output, and error
local function prosodyctl(what, id, feed)
	for _, text in ipairs(others.sh) do
		for line in text:gmatch("[^\n]+") do
			if line:match("^prosodyctl mod_post_msg ") and line:find(what, 1, true) then
				local words = {};
				line = line:gsub(" < [%w.]+$", ""):gsub("%f[%x]" .. ("%x"):rep(16) .. "%f[%X]", id or "%0");
				for word in output_of(line:gsub("^prosodyctl", "printf '%%s\\n'")):gmatch("[^\n]+") do words[#words + 1] = word; end
				local out, err, status = world.prosodyctl(words, feed);
				if status ~= 0 then fail(line .. "\n" .. err); end
				return out, err;
			end
		end
	end
	fail("README.markdown has no command of prosodyctl with " .. what);
end

local function start()
	local hosts = world.defaults().hosts;
	hosts["example.com"].modules = { "post_msg", "tokenauth" };
	hosts["example.com"].lines = 'post_msg_templates = "templates"';
	local files = {};
	for _, template in ipairs(others.jinja) do
		files["templates/" .. template:match("^{# (%w+%.j2): ")] = template .. "\n";
	end
	world.start({
		hosts = hosts; files = files;
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
	token = prosodyctl("token add"):match("(pmsg_[^\n]*)\n$");
	folder = os.tmpname();
	os.remove(folder);
	assert(output_of("mkdir '" .. folder .. "' && echo made") == "made\n");
	write(folder .. "/report.txt", "3 disks, all well.");
	write(folder .. "/netrc", with_token(table.concat(others.netrc, "\n")) .. "\n");
	world.collect();
end

-- Has the module loaded with a library that is not right, and with the right one again.
local function try_library(library)
	world.module("unload");
	world.plugin_file("post_msg.so", library or "");
	if not library then os.remove(world.server.plugins .. "/mod_post_msg/post_msg.so"); end
	assert.is_nil(world.module("load"));
end

local function section(from, to)
	return assert(readme:match(from .. "(.-)" .. to), "README.markdown has no " .. from);
end

describe("README.markdown", function ()
	lazy_setup(start);

	teardown(function ()
		if folder then os.execute("rm -r '" .. folder .. "'"); end
		world.stop();
	end);

	it("has every curl line where it is run", function ()
		assert.same({}, escaped);
		assert.is_true(#runnable > 20, #runnable .. " blocks to run");
	end);

	for _, block in ipairs(runnable) do
		it(("line %d: %s"):format(block.number, block.lines[1]), function () run(block); end);
	end

	it("shows commands of prosodyctl that work", function ()
		local made, id = prosodyctl("token add"), token:match("_(%x+)_");
		local listed = "\n" .. prosodyctl("token list");
		assert.is_truthy(listed:find("\n" .. id .. "  me@example.com", 1, true), listed);
		prosodyctl("token revoke", made:match("pmsg_(%x+)_"));
		assert.is_truthy(prosodyctl("--webhook-secret"):find("pmsg_%x+_"));
		assert.is_truthy(prosodyctl("template list"):find("\ndoor  [^\n]*/templates/door%.j2\n"));
		assert.is_truthy(prosodyctl("template show"):find("{%", 1, true));
		local payload = read(here .. "/templates/alertmanager/firing.case"):match("\n\n(.-)\n=> ");
		assert.is_truthy(prosodyctl("template try", nil, payload):find("FIRING: ", 1, true));
	end);

	it("shows lines of the log as they are", function ()
		local library = world.plugin_file("post_msg.so");
		try_library(nil);
		try_library(library:sub(1, -2));
		try_library((library:gsub("for Lua %d%.%d, (%d+) bytes\n$", "for Lua 5.0, %1 bytes\n")));
		world.plugin_file("post_msg.so", library);
		assert.is_true(world.module("load"));
		local log, count = "\n" .. world.log(), 0;
		for line in table.concat(others.log, "\n"):gsub("192%.0%.2%.1", "127.0.0.1"):gmatch("[^\n]+") do
			local pattern = pattern_of(line):gsub("%.%-", "[^\n]-"):sub(2, -2) .. "\n";
			if not log:find(pattern) then fail("not in the log: " .. line .. "\n" .. table.concat(world.errors(), "\n")); end
			count = count + 1;
		end
		assert.is_true(count >= 4);
	end);

	it("shows a rule for fail2ban that finds the line of the log", function ()
		local rule = readme:match("\nfailregex = ([^\n]+)");
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

	it("lists the Prosodys of `make test-matrix`", function ()
		local told, there = {}, {};
		for prosody, lua, target in section("<!%-%- matrix %-%->", "<!%-%- /matrix %-%->")
			:gmatch("\n| ([%d.]+) | ([%d.]+) | `make test%-prosody%-([^`]+)` |") do
			told[#told + 1] = target;
			assert.equal(prosody:sub(1, #target:match("^[%d.]+")) .. "-lua" .. lua, target);
		end
		for target in read(here .. "/Makefile"):match("\nMATRIX :?= ([^\n]+)"):gmatch("%S+") do there[#there + 1] = target; end
		assert.same(there, told);
	end);

	it("names targets of make that there are", function ()
		local rules = "\n" .. read(here .. "/Makefile");
		for target in section("\n# Development\n", "\n# "):gmatch("\n| `make ([^` ]+)") do
			assert.is_truthy(rules:find("\n" .. target .. ":", 1, true), "the Makefile has no rule for " .. target);
		end
	end);
end);
