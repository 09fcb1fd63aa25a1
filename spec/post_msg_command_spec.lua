-- The command post-msg, as a shell runs it, against a real server.

local mime = require "mime";
local socket = require "socket";
local pages = require "spec.support.pages";
local output_of = require "spec.support.programs".output_of;
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local user, other = "user@example.com", "other@example.com";
local command = debug.getinfo(1, "S").source:match("^@(.*)/spec/") or ".";
local png = mime.unb64("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==");
local odd_password = 'a"b\\c:d#é\'$x';
local home; -- HOME of the command, and its working folder
local sessions = {}; -- background sessions

local function write(name, text, mode)
	local file = assert(io.open(home .. "/" .. name, "wb"));
	file:write(text);
	file:close();
	os.execute(("chmod %s '%s/%s'"):format(mode or "600", home, name));
end

local function read(path)
	local file = io.open(path, "rb");
	if not file then return ""; end
	local text = file:read("*a"); -- nil if the process has just ended
	file:close();
	return text or "";
end

-- In a line, `$URL` is the URL of the server; the message is in the file `input`.
local function start(line)
	write("script", ([[
export HOME='%s' URL='http://localhost:%d/msg' PATH='%s'"/command:$PATH"
unset XDG_CONFIG_HOME http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
cd "$HOME"
rm -f status
(
%s
) <input >output 2>errors
echo $? >status.new
mv status.new status
]]):format(home, world.server.http_port, command:gsub("^%.", output_of("pwd"):match("[^\n]+")), line));
end

-- Runs a line of shell. > its exit status, what it wrote on standard error, and on standard output
local function run(line, input)
	write("input", input or "Hello");
	start(line);
	os.execute("sh '" .. home .. "/script'");
	return tonumber(read(home .. "/status")), read(home .. "/errors"), read(home .. "/output");
end

-- The same in the background, in a session of its own. > its number
local function run_aside(line, input)
	write("input", input or "Hello");
	start(line);
	local session = tonumber(output_of(("setsid sh -c 'echo $$; exec sh \"$1\" >/dev/null 2>&1' sh '%s/script' &"):format(home)));
	table.insert(sessions, session);
	return session;
end

local function ends()
	wire.await("the end of the command", function () return read(home .. "/status") ~= ""; end);
	return tonumber(read(home .. "/status")), read(home .. "/errors");
end

-- The processes of a session: { { words = command line, environment }, … }
local function processes(session)
	local results = {};
	for pid in output_of("ls /proc"):gmatch("[^\n]+") do
		local fields = pid:match("^%d+$") and read("/proc/" .. pid .. "/stat"):match("^.*%) (.*)$");
		if fields and tonumber(fields:match("^%S+ %S+ %S+ (%S+)")) == session then
			table.insert(results, { words = read("/proc/" .. pid .. "/cmdline"), environment = read("/proc/" .. pid .. "/environ") });
		end
	end
	return results;
end

local function assert_sent(line, input)
	local status, errors = run(line, input);
	assert.equal("", errors);
	assert.equal(0, status);
end

local function assert_fails(expected, part, line, input)
	local status, errors = run(line, input);
	assert.is_truthy(errors:find(part, 1, true), errors);
	assert.equal(expected, status, errors);
end

local entities = { lt = "<", gt = ">", amp = "&", quot = '"', apos = "'" };
local function receive(address)
	local raw = world.receive(address or user);
	return ((raw:match("<body>(.-)</body>") or ""):gsub("&(%a+);", entities)), raw;
end

local function link(raw) return (raw:match("<x xmlns='jabber:x:oob'><url>(.-)</url></x>"):gsub("&amp;", "&")); end

local function assert_nothing_sent()
	for address, messages in pairs((world.collect())) do assert.same({}, messages, address); end
end

-- The user enters a room, by default `team`.
local function enter_room(name)
	local occupant = (name or "team") .. "@rooms.example.com/user";
	world.send(user, "<presence to='" .. occupant .. "'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
	wire.await("the room", function () return world.receive_presence(user):find("from='" .. occupant .. "'", 1, true) ~= nil; end);
	world.collect();
end

local function leave_room(name)
	world.send(user, "<presence to='" .. (name or "team") .. "@rooms.example.com/user' type='unavailable'/>");
end

local function make_token(...)
	return world.prosodyctl({ "mod_post_msg", "token", "add", "me@example.com", ... }):match("(pmsg_%S+)%s*$");
end

-- The next request that reaches a listening socket, and the connection.
local function request_at(listener)
	listener:settimeout(20);
	local connection = assert(listener:accept());
	connection:settimeout(20);
	local head = "";
	repeat head = head .. assert(connection:receive("*l")) .. "\r\n"; until head:sub(-4) == "\r\n\r\n";
	return head .. assert(connection:receive(tonumber(head:match("Content%-Length: (%d+)")))), connection;
end

local function pass_on(answer, connection)
	connection:send(("HTTP/1.1 %d x\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s")
		:format(answer.status, #answer.body, answer.body));
	connection:close();
end

-- The client of this address confirms a message that asks for a receipt.
local function confirm(address, raw)
	world.send(address, ("<message to='%s' id='r1'><received xmlns='urn:xmpp:receipts' id='%s'/></message>")
		:format(raw:match("from='([^']+)'"), raw:match(" id='([^']+)'")));
end

describe("post-msg", function ()
	setup(function ()
		home = output_of("mktemp -d"):match("[^\n]+");
		local hosts = world.defaults().hosts;
		hosts["example.com"].accounts.odd = odd_password;
		hosts["example.com"].accounts.wordy = "two  words";
		world.start({
			hosts = hosts;
			components = 'Component "upload.example.com" "http_file_share"\n\thttp_host = "127.0.0.1"\n\thttp_file_share_daily_quota = 300000\n'
				.. 'Component "rooms.example.com" "muc"\n\tmuc_room_locking = false\n\tmuc_room_default_change_subject = true\n'
				.. 'Component "echo.example.com" "spec_echo"\n';
			extra = 'http_default_host = "example.com"';
		});
		world.login(user, other);
	end);

	teardown(function ()
		if home then os.execute("rm -rf '" .. home .. "'"); end
		world.stop();
	end);

	before_each(function () write(".post-msgrc", "me@example.com mypassword\n"); end);

	after_each(function ()
		while sessions[1] do os.execute(("kill -- -%d 2>/dev/null"):format(table.remove(sessions))); end
		assert_nothing_sent();
		assert.equal("", output_of("ls -d '" .. home .. "'/tmp.* 2>/dev/null"));
		os.execute(("cd '%s' && rm -rf .post-msgrc .sendxmpprc .config go-sendxmpp"):format(home));
	end);

	describe("sends", function ()
		it("standard input, without one line end at its end, and otherwise unchanged", function ()
			for text, sent in pairs {
				["Hello"] = "Hello"; ["Hello\n"] = "Hello"; ["Hello\r\n"] = "Hello"; ["Hello\r"] = "Hello";
				["  two\n\tlines \n\n\n"] = "  two\n\tlines \n\n"; ["\nHello\r\n\r\n"] = "\nHello\n"; ["a\n\r"] = "a\n";
				['a "quoted" \\ back\\nslash; 100% <&>\\n'] = 'a "quoted" \\ back\\nslash; 100% <&>\\n';
				["Grüße, 世界 🎉"] = "Grüße, 世界 🎉"; ["@file"] = "@file"; ["<file\n"] = "<file";
			} do
				assert_sent("TMPDIR=. post-msg --url $URL user@example.com", text);
				local body, raw = receive();
				assert.equal(sent, body);
				assert.matches("from='me@example%.com'", raw);
				assert.matches("type='chat'", raw);
				assert.is_nil(raw:find("<subject", 1, true));
			end
		end);

		it("a long text", function ()
			local text = ("äbcdefgh"):rep(20000);
			assert_sent("post-msg --url $URL user@example.com", text .. "\n");
			assert.is_true(receive() == text);
		end);

		it("a subject, in each way of writing an option", function ()
			for _, option in ipairs { "-s %s", "-s=%s", "--subject %s", "--subject=%s", "-subject %s" } do
				assert_sent("post-msg --url $URL " .. option:format([['Größe "x" \ = 5']]) .. " user@example.com");
				assert.matches('<subject>Größe "x" \\ = 5</subject>', (select(2, receive()):gsub("&quot;", '"')), nil, true);
			end
			assert_sent("post-msg --url $URL -s 'two\nlines' user@example.com");
			assert.matches("<subject>two\nlines</subject>", select(2, receive()), nil, true);
			assert_sent("post-msg --url $URL -s '' user@example.com");
			assert.is_nil((select(2, receive())):find("subject", 1, true));
		end);

		it("to several recipients, before and behind options, and behind --", function ()
			assert_sent("post-msg user@example.com --url $URL -s x other@example.com");
			assert.equal("Hello", (receive(user)));
			assert.equal("Hello", (receive(other)));
			assert_sent("post-msg --url $URL -- user other@example.com");
			assert.equal("Hello", (receive(user)));
			assert.equal("Hello", (receive(other)));
			assert_fails(1, "-s", "post-msg --url $URL -- -s@example.com/x");
		end);

		it("to a room", function ()
			enter_room();
			for _, line in ipairs { "-c team@rooms.example.com", "team@rooms.example.com --chatroom", "team@rooms.example.com" } do
				assert_sent("post-msg --url $URL " .. line);
				local body, raw = receive();
				assert.equal("Hello", body);
				assert.matches("from='team@rooms.example.com/me'", raw, nil, true);
				assert.matches("type='groupchat'", raw, nil, true);
			end
			assert_sent("post-msg --url $URL -c -s 'New subject' team@rooms.example.com", "");
			assert.matches("<subject>New subject</subject>", select(2, receive()), nil, true);
			assert_fails(1, "groupchat", "post-msg --url $URL -c echo.example.com");
			leave_room();
		end);

		it("with a type", function ()
			for option, type in pairs { ["-l"] = "headline", ["--headline"] = "headline", ["--message-type=normal"] = "normal",
				["--message-type chat -l"] = "headline", ["--message-type=chat"] = "chat" } do
				assert_sent("post-msg --url $URL " .. option .. " user@example.com");
				assert.matches("type='" .. type .. "'", type == "normal" and select(2, receive()):gsub("^<message ", "%0type='normal' ")
					or select(2, receive()), nil, true);
			end
		end);

		it("the text of a file", function ()
			write("a text", " of a file\n\n");
			for _, option in ipairs { "-m", "--message" } do
				assert_sent("post-msg --url $URL " .. option .. " 'a text' user@example.com", "not this");
				assert.equal(" of a file\n", (receive()));
			end
			assert.equal(" of a file\n\n", read(home .. "/a text"));
			assert_fails(1, "cannot read missing", "post-msg --url $URL -m missing user@example.com");
		end);

		it("each line, interactively, at once; the exit status is that of the last failure", function ()
			assert_sent("post-msg --url $URL -i user@example.com", "one\r\n\n\r\n  two \\n\nthree");
			for _, text in ipairs { "one", "  two \\n", "three" } do assert.equal(text, (receive())); end
			os.execute("mkfifo '" .. home .. "/lines'");
			run_aside("post-msg --url $URL --interactive user@example.com <lines");
			local lines = assert(io.open(home .. "/lines", "w"));
			lines:setvbuf("no");
			for _, text in ipairs { "early", "late" } do
				lines:write(text .. "\n");
				assert.equal(text, (receive()));
			end
			lines:write("\27[1m\n");
			lines:close();
			local status, errors = ends();
			assert.matches("U+001B", errors, nil, true);
			assert.equal(1, status);
		end);

		it("files", function ()
			write('gr"a,p;h 1.png', png);
			write("report.pdf", "%PDF");
			assert_sent([[post-msg --url $URL -A 'gr"a,p;h 1.png' user@example.com]], "");
			local body, raw = receive();
			assert.equal(link(raw), body);
			assert.matches("/gr%22a,p%3bh%201.png", body:lower(), nil, true);
			assert.equal(png, world.http("GET " .. body:match("^http://[^/]+(/.*)$") .. " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").body);
			assert_sent([[post-msg --url $URL --attach=report.pdf -s Report -A gr*.png user@example.com]], "Of today\n");
			body, raw = receive();
			assert.equal("Of today", body);
			assert.matches("<subject>Report</subject>", raw, nil, true);
			assert.matches("/report.pdf$", link(raw));
			assert.matches("png$", (receive()));
			assert_fails(1, "cannot read missing.png", "post-msg --url $URL -A missing.png user@example.com");
		end);
	end);

	describe("as sendxmpp", function ()
		it("accepts -t, -e, -v and -d, and prints with -v what was sent, but nothing secret", function ()
			assert_sent("post-msg --url $URL -t user@example.com");
			assert_sent("post-msg --url $URL --tls --ssl -e user@example.com");
			receive();
			receive();
			for _, option in ipairs { "-v", "--verbose", "-d", "-d 2", "--debug=2", "--debug" } do
				local status, errors = run("post-msg --url $URL " .. option .. " user@example.com");
				assert.equal(0, status, errors);
				assert.equal(("post-msg: sent by http://localhost:%d/msg as me@example.com: 201\n"):format(world.server.http_port), errors);
				assert.equal("Hello", (receive()));
			end
		end);

		it("sends from a resource (-r), for a user (-u), with a password (-p), of a server (-j)", function ()
			for line, from in pairs {
				["-r backup"] = "me@example.com/backup"; ["--resource=backup"] = "me@example.com/backup";
				["-u user -p 'p4ss-of-user'"] = "user@example.com"; ["-u user@example.com -p p4ss-of-user"] = "user@example.com";
				["--username other --password=p4ss:of:other --jserver example.com:5222"] = "other@example.com";
				["-u carol -p 'p4ss-of-cärol' -j second.example -r x"] = "carol@second.example/x";
			} do
				assert_sent("post-msg --url $URL " .. line .. " user@example.com");
				assert.matches("from='" .. from .. "'", select(2, receive()), nil, true);
			end
			write(".post-msgrc", "me@example.com p4ss-of-user\n");
			assert_sent("post-msg --url $URL -u user user@example.com");
			assert.matches("from='user@example.com'", select(2, receive()), nil, true);
			assert_sent("post-msg --url $URL -u user -j second.example user@example.com");
			assert.matches("from='user@example.com'", select(2, receive()), nil, true);
		end);

		it("completes addresses with the domain of -o", function ()
			write(".post-msgrc", "me@talk.example.com mypassword\n");
			for _, option in ipairs { "-o", "--component" } do
				assert_sent("post-msg --url $URL " .. option .. " example.com user");
				assert.matches("from='me@example.com'", select(2, receive()), nil, true);
			end
		end);

		it("rejects options that it does not support or that contradict each other: 64", function ()
			for line, part in pairs {
				["-w"] = "stanzas"; ["--raw"] = "stanzas"; ["--sso user"] = "sending token"; ["--nonsense user"] = "no option --nonsense";
				["-s"] = "needs a value"; ["user --wait"] = "needs a value"; ["-s x"] = "no recipient"; ["--message-type=error user"] = "message-type";
				["--headline --message-type=normal user"] = "contradict"; ["-i -m x user"] = "interactive"; ["-i -A script user"] = "interactive";
				["-l -c user"] = "contradict"; ["-i --oob-file x user"] = "interactive"; ["--oob-file '' user"] = "takes a URL";
				["-subjct x user"] = "no option -subjct"; ["-cx user"] = "no option -x"; ["--ci user"] = "no option --ci"; ["user -h"] = "needs a value";
				["--timeout soon user"] = "seconds"; ["--retry-connect soon user"] = "seconds"; ["--retry-connect-max x user"] = "attempts";
				["--wait= user"] = "seconds"; ["--wait 1.5 user"] = "seconds"; ["--tls-version 14 user"] = "10, 11, 12 or 13";
				["--tls=1 user"] = "no value"; ["--wait soon user"] = "seconds"; ["--retry x user"] = "attempts"; ["--retry= user"] = "attempts";
				["--url gopher://127.0.0.1/ user"] = "gopher";
			} do
				assert_fails(64, part, "post-msg " .. line);
			end
		end);

		it("rejects numbers of more than nine digits: 64", function ()
			for option, unit in pairs { wait = "seconds", timeout = "seconds", ["retry-connect"] = "seconds", retry = "attempts",
				["retry-connect-max"] = "attempts" } do
				for _, number in ipairs { "99999999999999999999999", "1000000000" } do
					local status, errors = run(("post-msg --url $URL --%s %s user@example.com"):format(option, number));
					assert.equal(("post-msg: --%s takes a whole number of %s, at most 999999999; see post-msg --help\n"):format(option, unit), errors);
					assert.equal(64, status);
				end
			end
			assert_sent("post-msg --url $URL --retry 999999999 --timeout 0999999999 --retry-connect 999999999 user@example.com");
			receive();
		end);

		it("says in one line that the recipient is missing: 64", function ()
			write("nobodies", "\n");
			for _, line in ipairs { "post-msg", "post-msg -s x", "post-msg --recipients nobodies" } do
				local status, errors = run(line);
				assert.equal("post-msg: there is no recipient: write an address, as in 'post-msg user@example.com'; see post-msg --help\n", errors);
				assert.equal(64, status);
			end
		end);

		it("prints its usage and its version", function ()
			for _, option in ipairs { "-h", "--help", "--usage", "-help", "user --help" } do
				local status, _, output = run("post-msg " .. option);
				assert.equal(0, status);
				assert.matches("^usage: post%-msg ", output);
			end
			local _, _, output = run("post-msg --version");
			assert.equal("post-msg " .. pages.read("Cargo.toml"):match('\nversion = "(.-)"') .. "\n", output);
		end);
	end);

	describe("as go-sendxmpp", function ()
		-- The line, with the command under the name go-sendxmpp.
		local function renamed(line) return [[ln -sf "$(command -v post-msg)" go-sendxmpp; PATH="$HOME:$PATH"; go-sendxmpp --url $URL ]] .. line; end

		it("uploads files (-h, --http-upload), and does not read standard input", function ()
			write("graph.png", png);
			write("other.txt", "text");
			for _, option in ipairs { "-h graph.png", "--http-upload graph.png", "--http-upload=graph.png", "-nh graph.png" } do
				assert_sent("post-msg --url $URL user@example.com " .. option, "not this");
				local body, raw = receive();
				assert.matches("/graph.png$", body);
				assert.equal(body, link(raw));
			end
			assert_sent('while read -r file; do post-msg --url $URL -h "$file" user@example.com; done', "graph.png\nother.txt\n");
			assert.matches("/graph.png$", (receive()));
			assert.matches("/other.txt$", (receive()));
			assert_sent(renamed "-h graph.png -h other.txt -m other.txt user@example.com");
			local body, raw = receive();
			assert.equal("text", body);
			assert.matches("/graph.png$", link(raw));
			assert.matches("/other.txt$", link((select(2, receive()))));
		end);

		it("does not succeed if the file of -h cannot be sent", function ()
			assert_fails(1, "cannot read missing.png", "post-msg --url $URL -h missing.png user@example.com");
			assert_fails(1, "cannot read user@example.com", "post-msg --url $URL -h user@example.com");
			assert_fails(64, "-h needs a value", "post-msg --url $URL user@example.com -h");
			assert_fails(64, "no recipient", "post-msg --url $URL -h script");
		end);

		it("sends a link (--oob-file), and does not read standard input", function ()
			assert_sent("post-msg --url $URL --oob-file 'https://example.com/graph.png?c&d' -s Graph user@example.com", "not this");
			local body, raw = receive();
			assert.equal("https://example.com/graph.png?c&d", body);
			assert.equal(body, link(raw));
			assert.matches("<subject>Graph</subject>", raw, nil, true);
			write("text", "Of today");
			assert_sent("post-msg --url $URL --oob-file https://example.com/graph.png -m text user@example.com");
			body, raw = receive();
			assert.equal("Of today", body);
			assert.equal("https://example.com/graph.png", link(raw));
			write("graph.png", png);
			assert_fails(1, "`oob_url` is given together with a file",
				"post-msg --url $URL --oob-file https://example.com/graph.png -h graph.png user@example.com");
		end);

		it("accepts several letters in one word", function ()
			enter_room();
			write("account", "user@example.com p4ss-of-user\n");
			assert_sent("post-msg --url $URL -cf account team@rooms.example.com");
			assert.matches("type='groupchat'", select(2, receive()), nil, true);
			assert_sent("post-msg --url $URL -cif account team@rooms.example.com", "one\ntwo\n");
			assert.equal("one", (receive()));
			assert.equal("two", (receive()));
			leave_room();
		end);

		it("ignores options that concern only XMPP", function ()
			assert_sent("post-msg --url $URL --allow-plain --fast-invalidate --fast-off --no-sasl-upgrade --scram-mech-pinning SCRAM-SHA-256 "
				.. "--ssdp-off --suppress-root-warning --timeout=5 user@example.com");
			receive();
		end);

		it("rejects options that ask for something that it cannot do: 64", function ()
			for _, option in ipairs { "--listen", "--raw", "--anonymous", "--legacy-pgp", "--ox", "--ox-delete-nodes", "--ox-genprivkey-rsa",
				"--ox-genprivkey-x25519", "--ox-transfer-private-key", "--muc-password s3cret", "--muc-password=s3cret", "--ox-passphrase s3cret",
				"--ox-import-privkey script", "--ox-receive-private-key s3cret", "--pasword=s3cret" } do
				local status, errors = run("post-msg --url $URL " .. option .. " user@example.com");
				assert.equal(64, status, option);
				assert.matches(option:match("^[^ =]+"), errors, nil, true);
				assert.is_nil(errors:find("s3cret", 1, true), errors);
			end
		end);

		it("has its meaning of -a, -l and -r under its name", function ()
			enter_room();
			assert_sent(renamed "-a Bot -c team@rooms.example.com");
			assert.equal("Hello", (receive()));
			assert_fails(64, "-l: this command only sends", renamed "-l user@example.com");
			assert_fails(64, "write the long name", renamed "-r script user@example.com");
			assert_fails(1, "--alias", "post-msg --url $URL -a Bot -c team@rooms.example.com");
			leave_room();
		end);

		it("asks for a nickname in rooms (--alias), and nowhere else", function ()
			local listener = assert(socket.bind("127.0.0.1", 0));
			local _, port = listener:getsockname();
			local function nick(line)
				run_aside(("post-msg --url http://localhost:%d/msg %s"):format(port, line));
				local request, connection = request_at(listener);
				pass_on({ status = 201, body = "" }, connection);
				assert.equal(0, (ends()));
				return request:match('name="nick"\r\n\r\n(.-)\r\n');
			end
			assert.equal("The Bot", nick("--alias 'The Bot' -c team@rooms.example.com"));
			assert.equal("TheCook", nick("-r TheCook --chatroom team@rooms.example.com"));
			assert.is_nil(nick("--alias Bot user@example.com"));
			assert.is_nil(nick("-c team@rooms.example.com"));
			write(".post-msgrc", "username: me@example.com\npassword: mypassword\nalias: Bot\n");
			assert.equal("Bot", nick("-c team@rooms.example.com"));
			listener:close();
		end);

		it("reads recipients from a file", function ()
			write("people", "user@example.com\r\n\nother@example.com");
			assert_sent("post-msg --url $URL --recipients people");
			assert.equal("Hello", (receive(user)));
			assert.equal("Hello", (receive(other)));
			assert_fails(1, "cannot read nobody", "post-msg --url $URL --recipients nobody user@example.com");
		end);

		it("tries again after the seconds of --retry-connect", function ()
			local listener = assert(socket.bind("127.0.0.1", 0));
			local _, port = listener:getsockname();
			run_aside(("post-msg --url http://localhost:%d/msg --retry-connect 1 --retry-connect-max 2 user@example.com"):format(port));
			for _ = 1, 3 do select(2, request_at(listener)):close(); end
			assert.equal(75, (ends()));
			run_aside(("post-msg --url http://localhost:%d/msg --retry-connect=1 user@example.com"):format(port));
			select(2, request_at(listener)):close();
			local request, connection = request_at(listener);
			pass_on(world.http(request), connection);
			assert.equal(0, (ends()));
			assert.equal("Hello", (receive()));
			listener:close();
		end);
	end);

	describe("credentials", function ()
		-- Each file, and who sends with it.
		local function assert_sends(text, from, options)
			write("secret", text);
			assert_sent(("post-msg --url $URL -f secret %s user@example.com"):format(options or ""));
			assert.matches("from='" .. from .. "'", select(2, receive()), nil, true);
		end

		it("may be a line in sendxmpp's format", function ()
			assert_sends("# mine\n\n  # and\nme@example.com\tmypassword", "me@example.com");
			assert_sends("me@example.com:5223 mypassword\r\n", "me@example.com");
			assert_sends("me@example.com;127.0.0.1:5223 mypassword\n", "me@example.com");
			assert_sends("me@talk.example.com mypassword example.com\n", "me@example.com");
			assert_sends("me@talk.example.com;127.0.0.1 mypassword example.com\n", "me@example.com");
			assert_sends("odd@example.com " .. odd_password .. "\n", "odd@example.com");
			assert_sends("me@example.com " .. make_token(), "me@example.com/x", "-r x");
		end);

		it("may be lines of names and values", function ()
			assert_sends("username: me\njserver: example.com\nport: 5222\npassword: mypassword\n", "me@example.com");
			assert_sends("username: me@example.com\npassword: mypassword\n", "me@example.com");
			assert_sends("# x\nusername: odd\njserver: talk.example.com\ntls: 1\ncomponent: example.com\npassword: " .. odd_password, "odd@example.com");
			-- README.Debian of sendxmpp, with an address as the user, and as the manual page shows it
			assert_sends("  username: me\n  jserver: example.com\n  port: 5222\n  password: mypassword\n", "me@example.com");
			assert_sends("username: me@example.com \njserver: talk.example.com\nport: 5222\npassword: mypassword\ncomponent: \n", "me@example.com");
			assert_sends('username: "me@example.com"\npassword: "mypassword"\nallow_plain: true\n', "me@example.com");
			assert_sends("username: wordy@example.com\npassword: two  words\n", "wordy@example.com");
			write("secret", ("username: me\njserver: example.com\nurl: http://localhost:%d/msg\npassword: mypassword\n"):format(world.server.http_port));
			assert_sent("post-msg --file secret user@example.com");
			receive();
		end);

		it("may come from a command (eval_password)", function ()
			assert_sends("username: me@example.com\neval_password: cat; printf 'mypassword\\nlogin: x\\n'\n", "me@example.com");
			assert_sends("username: me@example.com\neval_password: false\npassword: mypassword\n", "me@example.com");
			assert_sends("username: me@example.com\neval_password: touch executed\n", "me@example.com", "-p mypassword");
			assert_sends("me@example.com wrong\n", "me@example.com", "-p mypassword");
			assert.equal("", output_of("ls '" .. home .. "/executed' 2>/dev/null"));
			for line, part in pairs { ["exit 3"] = "has failed", ["true"] = "has printed no password" } do
				write("secret", "username: me@example.com\neval_password: " .. line .. "\n");
				assert_fails(1, "eval_password in secret " .. part, "post-msg -f secret --url $URL user@example.com");
			end
		end);

		it("may be in a netrc", function ()
			assert_sends("machine localhost login me@example.com password mypassword\n", "me@example.com");
			assert_sends("machine localhost\n\tlogin me\n\tpassword\n\tmypassword\n", "me@example.com");
			assert_sends("# x\nmachine example.com login me@example.com password wrong\nmacdef init\nmachine localhost login a password b\n\n"
				.. "default login odd@example.com account x password \"" .. odd_password:gsub('[\\"]', "\\%0") .. "\"\n", "odd@example.com");
			local two = "machine localhost login me@example.com password mypassword\nmachine localhost login user@example.com password p4ss-of-user\n";
			assert_sends(two, "me@example.com");
			assert_sends(two, "user@example.com/x", "-u user@example.com -r x");
			write("secret", two);
			assert_fails(1, "no entry for other at localhost", "post-msg -f secret -u other --url $URL user");
			assert_fails(1, "no entry for example.com", "post-msg -f secret -j example.com user");
		end);

		it("may be in a file of any name, for a user of any name", function ()
			write("user=x", "me@example.com mypassword\n");
			assert_sent("post-msg -f user=x --url $URL user@example.com", "evil@attacker.example token");
			receive();
			write("secret", [[machine localhost login d\27art password x]] .. "\n");
			assert_fails(1, "password is wrong", [[post-msg -f secret --url $URL -u 'd\27art' user@example.com]]);
		end);

		it("may be a token", function ()
			local token = make_token("--to", user);
			assert_sends(token .. "\n", "me@example.com");
			assert_sends(token .. "\n", "me@example.com/x", "-u me@example.com -r x");
			assert_fails(1, "other@example.com", "post-msg -f secret --url $URL other@example.com");
			assert_fails(64, "the server is unknown", "post-msg -f secret user@example.com");
			write("secret", ("%s\nurl: http://localhost:%d/msg\n"):format(token, world.server.http_port));
			assert_sent("post-msg -f secret user@example.com");
			receive();
		end);

		it("are read from the first file that exists", function ()
			os.execute("mkdir -p '" .. home .. "/.config/go-sendxmpp' '" .. home .. "/xdg/go-sendxmpp'");
			local files = { ".post-msgrc", ".config/go-sendxmpp/config", ".config/go-sendxmpp/sendxmpprc", ".sendxmpprc" };
			for i, name in ipairs(files) do write(name, ("username: me@example.com/%d\npassword: mypassword\n"):format(i)); end
			for i, name in ipairs(files) do
				assert_sent("post-msg --url $URL user@example.com");
				assert.matches(("from='me@example.com/%d'"):format(i), select(2, receive()), nil, true);
				os.remove(home .. "/" .. name);
			end
			write("xdg/go-sendxmpp/config", "user@example.com p4ss-of-user\n");
			assert_sent("XDG_CONFIG_HOME=$HOME/xdg post-msg --url $URL user@example.com");
			assert.matches("from='user@example.com'", select(2, receive()), nil, true);
			assert_fails(1, "no credentials", "post-msg --url $URL user@example.com");
		end);

		it("are rejected if other users can read the file", function ()
			for _, mode in ipairs { "644", "640", "620", "604", "610" } do
				write("secret", "me@example.com mypassword\n", mode);
				assert_fails(1, "must not be accessible by others", "post-msg -f secret --url $URL user@example.com");
			end
			write("secret", "me@example.com mypassword\n", "400");
			os.execute("ln -sf secret '" .. home .. "/link'");
			assert_sent("post-msg -f link --url $URL user@example.com");
			receive();
			if output_of("id -u") == "0\n" then
				os.execute("chown 65534 '" .. home .. "/secret'");
				assert_fails(1, "you must own secret", "post-msg -f secret --url $URL user@example.com");
				os.remove(home .. "/secret");
			end
			assert_fails(1, "cannot read missing", "post-msg -f missing --url $URL user@example.com");
		end);

		it("that are malformed are reported with their line", function ()
			for text, part in pairs { ["# x\nnonsense\n"] = "line 2", [""] = "no credentials", ["username: me\n"] = "no credentials",
				["machine localhost nonsense x\n"] = "line 1" } do
				write("secret", text);
				assert_fails(1, part, "post-msg -f secret --url $URL user@example.com");
			end
			for text, line in pairs { ["me mypassword\n"] = 1, ["me@example.com\nmypassword\n"] = 1, ["mypassword"] = 1,
				["me@example.com mypassword with spaces\n"] = 1, ["me@example.com mypassword\n\nmypassword\n"] = 3 } do
				write("secret", text);
				local status, errors = run("post-msg -f secret --url $URL user@example.com");
				assert.equal(("post-msg: secret: line %d is not valid: write the address and the password or sending token in one line, "
					.. "as in: me@example.com SECRET\n"):format(line), errors);
				assert.equal(1, status);
			end
		end);

		it("appear in no command line and in no environment during a request", function ()
			local token = make_token();
			for _, secret in ipairs { "mypassword", token } do
				write("password", secret .. "\n");
				for text, options in pairs {
					["me@example.com " .. secret .. "\n"] = "";
					["machine localhost login me@example.com password " .. secret .. "\n"] = "-s x";
					["username: me\npassword: " .. secret .. "\njserver: example.com\n"] = "--retry 1";
					["username: me@example.com\neval_password: cat password\n"] = "-s y";
					[secret == token and token or "default login me password mypassword"] = "-A script";
				} do
					write("secret", text);
					local session = run_aside("post-msg -f secret --url $URL --wait 20 " .. options .. " other@example.com");
					local raw = world.receive(other);
					local curls = 0;
					for _, process in ipairs(processes(session)) do
						if process.words:sub(1, 5) == "curl\0" then curls = curls + 1; end
						assert.is_nil(process.words:find(secret, 1, true), process.words);
						assert.is_nil(process.environment:find(secret, 1, true), process.environment);
					end
					assert.equal(1, curls);
					confirm(other, raw);
					local status, errors = ends();
					assert.equal(0, status, errors);
				end
			end
		end);
	end);

	describe("the exit status", function ()
		it("is 1 if the server rejects the message, with the server's sentence", function ()
			assert_fails(1, "post-msg: nobody@example.com: service-unavailable", "post-msg --url $URL nobody@example.com");
			assert_fails(1, "U+001B", "post-msg --url $URL user@example.com", "\27[1m");
			assert_fails(1, "bytes", "post-msg --url $URL user@example.com", ("x"):rep(200000));
			assert_fails(1, "post-msg: the address or password is wrong", "post-msg --url $URL -u me -p wrong -j example.com user@example.com");
			assert_fails(1, "is mod_post_msg there?", "post-msg --url ${URL%msg}elsewhere user@example.com");
		end);

		it("is 1 if the text is empty, and nobody asks the server", function ()
			write("empty", "\n");
			for line, text in pairs { ["user@example.com"] = "", ["-v user@example.com"] = "\n", ["-m empty user@example.com"] = "Hello",
				["-s '' user@example.com"] = "\r\n" } do
				assert_fails(1, "post-msg: the text is empty", "post-msg --url http://127.0.0.1:1/msg " .. line, text);
			end
		end);

		it("is 1 if not all recipients get it, with a line for each", function ()
			assert_fails(1, "nobody@example.com: service-unavailable", "post-msg --url $URL user@example.com nobody@example.com");
			assert.equal("Hello", (receive()));
		end);

		it("is 75 for 5xx, 429 and no connection", function ()
			write("large", ("x"):rep(300001));
			assert_fails(75, "post-msg: upload.example.com: ", "post-msg --url $URL -A large user@example.com");
			write(".post-msgrc", "me@example.com " .. make_token("--rate", "1"));
			assert_sent("post-msg --url $URL user@example.com");
			receive();
			assert_fails(75, "post-msg: ", "post-msg --url $URL user@example.com");
			assert_fails(75, "connect", ("post-msg --url http://127.0.0.1:%d/msg user@example.com"):format(wire.free_port()));
		end);

		it("is 0 with a receipt, and after the wait without one", function ()
			assert_sent("post-msg --url $URL --wait 01 user@example.com");
			assert.matches("urn:xmpp:receipts", select(2, receive()), nil, true);
			run_aside("post-msg --url $URL --wait=20 -v user@example.com");
			confirm(user, world.receive(user));
			local status, errors = ends();
			assert.matches(": 200\n$", errors);
			assert.equal(0, status);
		end);
	end);

	describe("the server", function ()
		it("is reached at port 5281 of the host, with HTTPS", function ()
			for place, written in pairs { ["127.0.0.1"] = "127.0.0.1:5222", ["::1"] = "[::1]:5222" } do
				for _, option in ipairs { "-j " .. place, "-j " .. written, "-u me@example.com -p mypassword -j " .. written } do
					write("secret", "pmsg_x\n");
					assert_fails(75, place .. " port 5281", "post-msg -f secret " .. option .. " user@example.com");
				end
				for _, text in ipairs { "me@example.com;%s mypassword\n", "username: me\njserver: %s\npassword: mypassword\n",
					"username: me@example.com\njserver: %s\nport: 5222\npassword: mypassword\n", "me@%s mypassword\n" } do
					write("secret", text:format(written));
					assert_fails(75, place .. " port 5281", "post-msg -f secret user@example.com");
				end
			end
		end);

		it("is named by POST_MSG_URL, unless --url names it", function ()
			assert_sent("POST_MSG_URL=$URL post-msg user@example.com");
			receive();
			assert_sent("POST_MSG_URL=http://127.0.0.1:1/msg post-msg --url $URL user@example.com");
			receive();
		end);
	end);

	describe("--retry", function ()
		local listener;
		before_each(function () listener = assert(socket.bind("127.0.0.1", 0)); end);
		after_each(function () listener:close(); end);

		local function run_through(options, input)
			local _, port = listener:getsockname();
			return run_aside(("post-msg --url http://localhost:%d/msg %s"):format(port, options), input);
		end

		it("sends once if the first answer is lost", function ()
			run_through("--retry 2 user@example.com");
			local request, connection = request_at(listener);
			assert.equal(201, world.http(request).status);
			connection:close();
			local again;
			again, connection = request_at(listener);
			assert.equal(request:match("\r\nIdempotency%-Key: (%x+)\r\n"), again:match("\r\nIdempotency%-Key: (%x+)\r\n"));
			pass_on(world.http(again), connection);
			local status, errors = ends();
			assert.equal(0, status, errors);
			assert.equal("Hello", (receive()));
			assert_nothing_sent();
		end);

		it("goes on while the first request is in progress", function ()
			run_through("--retry 9 --wait 20 other@example.com");
			local request, connection = request_at(listener);
			local first = wire.send(request);
			connection:close();
			local raw = world.receive(other);
			request, connection = request_at(listener);
			local answer = world.http(request);
			assert.equal(409, answer.status);
			pass_on(answer, connection);
			confirm(other, raw);
			assert.equal(200, first:answer().status);
			request, connection = request_at(listener);
			pass_on(world.http(request), connection);
			local status, errors = ends();
			assert.equal(0, status, errors);
		end);

		it("gives up after this number, and does not repeat rejected requests", function ()
			run_through("--retry 1 user@example.com");
			for _ = 1, 2 do select(2, request_at(listener)):close(); end
			local status, errors = ends();
			assert.equal(75, status, errors);
			run_through("--retry 3 nobody@example.com");
			local request, connection = request_at(listener);
			local answer = world.http(request);
			assert.equal(404, answer.status);
			pass_on(answer, connection);
			assert.equal(1, (ends()));
		end);

		it("waits for the time of Retry-After", function ()
			write(".post-msgrc", "me@example.com " .. make_token("--rate", "1"));
			assert_sent("post-msg --url $URL user@example.com");
			receive();
			local session = run_aside("post-msg --url $URL --retry 1 user@example.com");
			local pause;
			wire.await("a pause", function ()
				for _, process in ipairs(processes(session)) do pause = pause or process.words:match("^sleep.(%d+)"); end
				return pause;
			end);
			assert.is_true(tonumber(pause) > 30, pause);
			os.execute(("kill -- -%d"):format(session));
			wire.await("the end of the session", function () return #processes(session) == 0; end);
		end);

		it("uses a new key for each line of --interactive", function ()
			run_through("--retry 1 -i user@example.com", "one\ntwo");
			local keys = {};
			for i = 1, 2 do
				local request, connection = request_at(listener);
				keys[i] = request:match("\r\nIdempotency%-Key: (%x+)\r\n");
				pass_on(world.http(request), connection);
			end
			assert.equal(0, (ends()));
			assert.is_true(#keys[1] == 32 and #keys[2] == 32 and keys[1] ~= keys[2]);
			assert.equal("one", (receive()));
			assert.equal("two", (receive()));
		end);

		it("makes a key, and the other options make none", function ()
			run_through("user@example.com");
			local request, connection = request_at(listener);
			assert.is_nil(request:lower():find("idempotency-key", 1, true));
			pass_on(world.http(request), connection);
			assert.equal(0, (ends()));
			receive();
		end);
	end);

	it("runs the examples of docs/command.md", function ()
		enter_room();
		write("report.txt", "3 disks, all well.");
		write("graph.png", png);
		write("auth.log", "root: failed\nuser: welcome\nadmin: failed\n");
		local count = 0;
		for _, block in ipairs((pages.code("docs/command.md"))) do
			if block.spec == "spec/post_msg_command_spec.lua" then
				local code, expected = block.text:match("^(.-\n)(# .*)$");
				local status, sentence = expected:match("^# (%d+) ([^\n]*)\n");
				local got, errors = run("export POST_MSG_URL=$URL\n" .. code, "");
				assert.equal(tonumber(status or 0), got, errors);
				local function assert_shown(text, results)
					local first, rest = text:match("^(.-)…(.*)$");
					if first then
						assert.equal("", rest);
						results = results:sub(1, #first);
					end
					assert.equal(first or text, (results:gsub("\n$", "")));
				end
				assert_shown(sentence or "", errors);
				for address, text in expected:gmatch("# → (%S+): ([^\n]+)") do assert_shown(text, (receive(address))); end
				assert_nothing_sent();
				count = count + 1;
			end
		end
		assert.equal(8, count);
	end);

	it("runs the examples of the manuals of sendxmpp and go-sendxmpp under their names", function ()
		enter_room("team");
		enter_room("ops");
		os.execute("mkdir '" .. home .. "/names' && ln -s '" .. command:gsub("^%.", output_of("pwd"):match("[^\n]+")) .. "/command/post-msg' '"
			.. home .. "/names/sendxmpp' && cp -P '" .. home .. "/names/sendxmpp' '" .. home .. "/names/go-sendxmpp'");
		write("message.txt", "Hello\n");
		write("example.log", "one\ntwo\n");
		write("sendxmpp", "username: me@example.com\npassword: mypassword\n");
		local both, rooms = { user, other }, { "team@rooms.example.com", "ops@rooms.example.com" };
		-- A line, and the texts that arrive for each recipient.
		for _, example in ipairs {
			{ 'echo "hello bob!" | sendxmpp -s hello user@example.com', { user }, { "hello bob!" } };
			{ 'echo "Dinner Time" | sendxmpp -r TheCook --chatroom team@rooms.example.com', { "team@rooms.example.com" }, { "Dinner Time" } };
			{ "tail example.log | sendxmpp -i user@example.com", { user }, { "one", "two" } };
			{ "cat message.txt|go-sendxmpp -f ./sendxmpp user@example.com other@example.com", both, { "Hello" } };
			{ "cat message.txt|go-sendxmpp -u me@example.com -p mypassword user@example.com other@example.com", both, { "Hello" } };
			{ "cat message.txt|go-sendxmpp -cf ./sendxmpp team@rooms.example.com ops@rooms.example.com", rooms, { "Hello" } };
			{ "tail example.log|go-sendxmpp -cif ./sendxmpp team@rooms.example.com ops@rooms.example.com", rooms, { "one", "two" } };
			{ 'echo "Rsync finished."|go-sendxmpp user@example.com', { user }, { "Rsync finished." } };
			{ "go-sendxmpp --http-upload message.txt user@example.com", { user }, { "http.*/message.txt" } };
		} do
			local line, recipients, texts = example[1], example[2], example[3];
			assert_sent('export POST_MSG_URL=$URL PATH="$HOME/names:$PATH"; ' .. line, "");
			for _, text in ipairs(texts) do
				local from = {};
				for _, recipient in ipairs(recipients) do
					local body, raw = receive(recipient == other and other or user);
					assert.matches("^" .. text .. "$", body);
					from[raw:match("from='([^'/]+)")] = true;
				end
				if recipients == rooms then assert.same({ [rooms[1]] = true, [rooms[2]] = true }, from); end
			end
			assert_nothing_sent();
		end
		leave_room("team");
		leave_room("ops");
	end);

	it("has exactly the options of its manual page and --help", function ()
		local _, _, help = run("post-msg --help");
		local manual = pages.read("command/post-msg.1");
		local known = pages.read("command/post-msg"):match("\n\tcase %$name in\n\ts|subject%) subject=(.-)\n\tesac\n");
		local unlisted = " tls ssl debug raw sso anonymous listen legacy-pgp ox muc-password retry-connect retry-connect-max allow-plain "
			.. "fast-invalidate fast-off no-sasl-upgrade scram-mech-pinning ssdp-off suppress-root-warning ";
		local count = 0;
		for names in ("s|subject)" .. known):gmatch("%f[^\n\t]([%w|-]+)%)") do
			for name in names:gmatch("[^|]+") do
				if #name > 1 and name ~= "usage" then
					assert.is_truthy(manual:find("Fl %-" .. name:gsub("%-", "%%-"):gsub("%%%-", "[\\]?%%-")), name .. " is not in the manual page");
					if not unlisted:find(" " .. name .. " ", 1, true) then
						assert.is_truthy(help:find("--" .. name, 1, true), name .. " is not in --help");
					end
					count = count + 1;
				end
			end
		end
		assert.is_true(count > 20, count .. " options");
	end);

	describe("over HTTPS", function ()
		local place; -- an address of this machine, where Prosody has port 5281
		local https_port;

		setup(function ()
			assert(output_of(("cd '%s' && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=example.com "
				.. "-addext subjectAltName=DNS:example.com -keyout https.key -out https.crt 2>&1 && echo made"):format(home)):find("made\n"));
			https_port = wire.free_port();
			place = ("127.%d.%d.1"):format(math.floor(https_port / 256), https_port % 256);
			local hosts = world.defaults().hosts;
			hosts["second.example"].modules = {};
			world.start({
				hosts = hosts;
				files = { ["certs/https.crt"] = read(home .. "/https.crt"), ["certs/https.key"] = read(home .. "/https.key") };
				extra = ('https_interfaces = { "%s", "127.0.0.1" }\nhttps_ports = { 5281, %d }\n'):format(place, https_port)
					.. 'https_certificate = "certs/https.crt"\nhttps_ssl = { protocol = "tlsv1_2" }\n';
			});
			world.login(user);
			-- A curl for which example.com is this machine. A proxy has port 443, if $PROXY is its port.
			os.execute("mkdir '" .. home .. "/bin'");
			write("bin/curl", ([[
#!/bin/sh
tee asked | %s "$@" --connect-to example.com:443:127.0.0.1:${PROXY:-1} --connect-to second.example:443:127.0.0.1:${PROXY:-1} \
	--connect-to example.com:5281:127.0.0.1:1
]]):format(output_of("command -v curl"):match("[^\n]+")), "700");
		end);

		it("trusts the certificate of an authority, the certificate of -a, or any with -n", function ()
			local line = " -j " .. place .. " user@example.com";
			assert_fails(75, "certificate", "post-msg" .. line);
			for _, option in ipairs { "-a https.crt", "--tls-ca-path=https.crt", "-n", "--no-tls-verify" } do
				assert_sent("post-msg " .. option .. line);
				receive();
			end
			output_of(("cd '%s' && mkdir authorities && cp https.crt authorities/ && openssl rehash authorities"):format(home));
			assert_sent("post-msg -a authorities" .. line);
			receive();
			assert_fails(75, "certificate", "post-msg -a /etc" .. line);
		end);

		it("connects to the host of -j, which keeps the name of the account's domain", function ()
			for _, text in ipairs { "me@example.com mypassword\n", "me@example.com;PLACE:5222 mypassword\n",
				"username: me@example.com\njserver: PLACE\nport: 5222\npassword: mypassword\n",
				"username: me\njserver: example.com\npassword: mypassword\n", "me@PLACE mypassword example.com\n",
				"machine PLACE login me@example.com password mypassword\n" } do
				write("secret", (text:gsub("PLACE", place)));
				assert_sent(("post-msg -f secret -a https.crt %s user@example.com"):format(text:find("PLACE", 1, true) and "" or "-j " .. place .. ":5222"));
				assert.matches("from='me@example.com'", select(2, receive()), nil, true);
			end
			assert_fails(75, "certificate", ("post-msg -u me@second.example -p mypassword -a https.crt -j %s user@example.com"):format(place));
		end);

		it("demands the version of TLS", function ()
			assert_sent(("post-msg -a https.crt --tls-version 12 -j %s user@example.com"):format(place));
			receive();
			assert_fails(75, "protocol version", ("post-msg -a https.crt --tls-version 13 -j %s user@example.com"):format(place));
		end);

		it("names the URL behind a proxy if the default URL fails", function ()
			local url = "https://example.com/msg";
			local function fails(part, line) assert_fails(75, part, ("PATH=\"$HOME/bin:$PATH\"; export PROXY=%d; post-msg %s"):format(https_port, line)); end
			fails(("post-msg: mod_post_msg answers at %s: name this URL with --url, or with the line 'url: %s' in %s/.post-msgrc\n"):format(url, url, home),
				"-a https.crt user@example.com");
			local asked = read(home .. "/asked");
			assert.matches('url = "' .. url .. '"', asked, nil, true);
			assert.is_nil(asked:find("mypassword", 1, true), asked);
			assert.is_nil(asked:find("data", 1, true), asked);
			write("secret", ("me@example.com mypassword\nurl: %s\n"):format(url));
			assert_sent(("PATH=\"$HOME/bin:$PATH\" PROXY=%d post-msg -f secret -a https.crt user@example.com"):format(https_port));
			receive();
			-- The certificate must be trusted, and the program must be this module.
			fails("does not answer at " .. url .. " either", "user@example.com");
			assert_fails(1, "https://second.example:5281/msg answered 404; is mod_post_msg there?\n"
				.. "post-msg: mod_post_msg does not answer at https://second.example/msg either",
				("PATH=\"$HOME/bin:$PATH\" PROXY=%d post-msg -n -u me@second.example -p x -j %s user@example.com"):format(https_port, place));
			local status, errors = run("post-msg --url https://127.0.0.1:1/msg user@example.com");
			assert.equal(75, status);
			assert.is_nil(errors:find("answer", 1, true), errors);
		end);
	end);
end);
