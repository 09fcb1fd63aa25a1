-- The busted side of spec/support/world.py: a throw-away Prosody, the module in it, and XMPP clients.
-- Every function raises an error that says what went wrong; see `Control` in world.py for what each does.

local json = require "dkjson";
local mime = require "mime";
local neighbours = require "spec.support.neighbours";
local read_file = require "pl.file".read;
local socket = require "socket";

local world = {
	-- The accounts that the specs speak of.
	password = {
		["me@example.com"] = "mypassword";
		["user@example.com"] = "p4ss-of-user";
		["other@example.com"] = "p4ss:of:other";
		["carol@second.example"] = "p4ss-of-cärol";
	};
};

local here = debug.getinfo(1, "S").source:match("^@(.*)/") or ".";
local python = os.getenv("PYTHON") or "/usr/bin/python3";
local process, control;

local function accounts_of(host)
	local accounts = {};
	for address, password in pairs(world.password) do
		local username, domain = address:match("^(.*)@(.*)$");
		if domain == host then accounts[username] = password; end
	end
	return accounts;
end

-- What `start` starts when not told otherwise.
function world.defaults()
	return {
		hosts = {
			["example.com"] = { accounts = accounts_of("example.com") };
			["second.example"] = { accounts = accounts_of("second.example") };
		};
		components = 'Component "echo.example.com" "spec_echo"';
	};
end

local function connect()
	process = assert(io.popen(python .. " '" .. here .. "/world.py'"));
	local port = assert(process:read("*n"), python .. " " .. here .. "/world.py did not start");
	control = assert(socket.connect("127.0.0.1", port));
	control:setoption("tcp-nodelay", true);
end

local function ask(what, arguments)
	local request = { ["do"] = what };
	for name, value in pairs(arguments or {}) do request[name] = value; end
	if not control then connect(); end
	assert(control:send(json.encode(request) .. "\n"));
	local line = assert(control:receive("*l"), "world.py has died");
	local answer = json.decode(line);
	if answer.problem then error(what .. ": " .. answer.problem, 3); end
	return answer.result;
end

-- What the module still holds for requests, on each host where it is loaded (lua/counters.lib.lua). > { "example.com: 2 outcomes", … }
local function held()
	return world.lua([[
		local found = {};
		for host, session in pairs(prosody.hosts) do
			if session.modules.post_msg then
				local registered = false;
				for name, count in pairs(module:context(host):shared("/"..host.."/post_msg/state")) do
					registered = true;
					if count() ~= 0 then found[#found + 1] = host..": "..count().." "..name; end
				end
				if not registered then found[#found + 1] = host..": no state is registered"; end
			end
		end
		table.sort(found);
		return found]]);
end

-- At its start the module holds nothing for requests. When a world ends, or a spec asks, it must hold nothing again, once all
-- requests have ended.
function world.assert_nothing_held()
	local deadline = socket.gettime() + 30;
	local found = held();
	while found[1] and socket.gettime() < deadline do
		socket.sleep(0.1);
		found = held();
	end
	if found[1] then error("the module still holds, long after the last request:\n\t" .. table.concat(found, "\n\t"), 0); end
end

local killed; -- whether no Prosody runs since `kill`

-- > what the module still holds, as an error
local function look_back()
	if not world.server or killed then return nil; end
	local ok, problem = pcall(world.assert_nothing_held);
	return not ok and problem or nil;
end

-- Adds HTTPS to the options of `start`, with certificates for these names. > port, file with the authority's certificate
local function add_https(options, names)
	local port, listener = neighbours.free_port();
	listener:close();
	local folder = neighbours.certify(names);
	options.files = options.files or {};
	for _, name in ipairs(names) do
		for _, suffix in ipairs { ".crt", ".key" } do
			options.files["certs/" .. name .. suffix] = read_file(folder .. "/" .. name .. suffix);
		end
	end
	options.extra = (options.extra or "") .. ("\nhttps_ports = { %d }\n"):format(port);
	return port, folder .. "/ca.crt";
end

-- Starts Prosody, in place of one that runs. With `https`, a list of hosts, it also has an HTTPS port. > { dir, plugins, http_port, c2s_port,
-- version, https_port, authority }
function world.start(options)
	local arguments = world.defaults();
	for name, value in pairs(options or {}) do arguments[name] = value; end
	local https_port, authority;
	if arguments.https then
		https_port, authority = add_https(arguments, arguments.https);
		arguments.https = nil;
	end
	local problem = look_back();
	killed = false;
	world.server = ask("start", arguments);
	world.server.plugins = world.server.dir .. "/plugins";
	world.server.https_port, world.server.authority = https_port, authority;
	if problem then error("before this one: " .. problem, 0); end
	return world.server;
end

-- Ends everything; the next `start` begins anew.
function world.stop()
	if not control then return; end
	local problem = look_back();
	control:close();
	process:close();
	control, process, world.server = nil, nil, nil;
	if problem then error(problem, 0); end
end

function world.restart()
	ask("restart");
	killed = false;
end

-- Logs these accounts in; each can be named with a resource.
function world.login(...)
	ask("login", { addresses = { ... } });
end

function world.logout(...)
	ask("logout", { addresses = { ... } });
end

-- The client sends this stanza.
function world.send(address, stanza)
	ask("send", { address = address, stanza = mime.b64(stanza) });
end

-- The next message that the client receives, as it came over the wire.
function world.receive(address, timeout)
	return mime.unb64(ask("receive", { address = address, timeout = timeout }));
end

-- What every client has received by now. > { [address] = { raw message, … } }, { what is wrong with a client, … }
function world.collect()
	local result = ask("collect");
	for _, messages in pairs(result.messages) do
		for i, raw in ipairs(messages) do messages[i] = mime.unb64(raw); end
	end
	return result.messages, result.trouble;
end

-- The next presence that the client receives.
function world.receive_presence(address, timeout)
	return mime.unb64(ask("receive_presence", { address = address, timeout = timeout }));
end

-- The presences that the client has received by now.
function world.collect_presences(address)
	local found = ask("collect_presences", { address = address });
	for i, raw in ipairs(found) do found[i] = mime.unb64(raw); end
	return found;
end

-- How many seconds the server took to answer the client's ping.
function world.ping(address)
	return ask("ping", { address = address });
end

-- Another process pings the server without a pause, as a user of example.com whose password is "secret".
function world.ping_on(user)
	ask("ping_on", { user = user });
end

-- > the milliseconds that each of its pings took since this was asked last, in order of size
function world.pinged()
	local pings = ask("pinged");
	table.sort(pings);
	return pings;
end

-- kill -9; `restart` starts Prosody again, on the same data.
function world.kill()
	ask("kill_hard");
	killed = true;
end

-- Moves Prosody's data, while it runs, to a file system of its own, of so many bytes; only root may.
function world.data_on_disk(size)
	ask("data_on_disk", { size = size });
end

-- Changes the options of that file system, such as to "ro".
function world.remount(options)
	ask("remount", { options = options });
end

-- Runs prosodyctl beside the server, with these words and what it reads. > standard output, standard error, exit status
function world.prosodyctl(words, feed)
	local done = ask("prosodyctl", { words = words, feed = feed });
	return done.out, done.err, done.status;
end

-- The client runs a command of its server (XEP-0050). With `values` ({ name = text or list }), it fills the form in.
-- > its last answer: { status, notes, title, values, labels, types, options, items } or { error }
function world.command(address, node, values, lang)
	if values and not next(values) then values = json.decode("{}"); end
	return ask("command", { address = address, node = node, values = values, lang = lang });
end

-- > { [node] = name } of the commands that the client's server offers
function world.commands(address, lang)
	return ask("commands", { address = address, lang = lang });
end

-- Sends the bytes of one request, or of several (`answers`), and reads as many answers.
-- `connection` names a connection that is kept until `hang_up`.
-- > { status = 201, headers = { ["content-type"] = "…" }, body = "…" }, …
function world.http(request, answers, connection)
	local found = ask("http", { request = mime.b64(request), answers = answers, connection = connection });
	for _, answer in ipairs(found) do
		local headers = {};
		for _, pair in ipairs(answer.headers) do
			local name = pair[1]:lower();
			headers[name] = headers[name] and headers[name] .. ", " .. pair[2] or pair[2];
		end
		answer.headers, answer.body = headers, mime.unb64(answer.body) or "";
	end
	return (table.unpack or unpack)(found);
end

function world.hang_up(connection)
	ask("hang_up", { connection = connection });
end

-- The bytes of a request to post `body` as me@example.com, unless `headers` say otherwise.
function world.request(path, body, headers)
	local all = {
		["Host"] = "example.com";
		["Authorization"] = world.basic("me@example.com");
		["Content-Type"] = "text/plain";
		["Content-Length"] = #body;
	};
	for name, value in pairs(headers or {}) do all[name] = value or nil; end
	local lines = { "POST " .. path .. " HTTP/1.1" };
	for name, value in pairs(all) do
		if value then lines[#lines + 1] = name .. ": " .. value; end
	end
	return table.concat(lines, "\r\n") .. "\r\n\r\n" .. body;
end

function world.basic(address)
	return "Basic " .. (mime.b64(address .. ":" .. world.password[address]));
end

-- A token of mod_tokenauth, made in the server; `options`: `role` and `ttl` in seconds.
function world.make_bearer(address, options) --> token
	options = options or {};
	local host = address:match("@([^/]*)");
	return world.lua(([[
		local tokens, address, role, ttl = prosody.hosts[%q].modules.tokenauth, %q, %s, %s;
		if rawget(tokens, "create_grant") then
			local grant = assert(tokens.create_grant(address, address, nil, {}));
			return assert(tokens.create_token(address, grant, role or "prosody:registered", ttl, "spec"));
		end
		return (assert(tokens.create_jid_token(address, address, nil, ttl)));
	]]):format(host, address, options.role and ("%q"):format(options.role) or "nil", tostring(options.ttl)));
end

-- Requests that go on in the background; eight zeros in one become its number.
function world.flow(request, connections)
	ask("flow", { request = mime.b64(request), connections = connections });
end

-- Waits until that many more requests of the flow have been answered.
function world.flow_on(count)
	ask("flow_on", { count = count });
end

-- > { ["201"] = { number, … }, … }
function world.flow_stop()
	return ask("flow_stop");
end

-- Requests of all kinds ({ [kind] = bytes }), each with a key, that are repeated until they are answered, and a component
-- that outlives the server and counts what arrives: { requests, port, domain, secret, room, connections }.
function world.stream(options)
	local encoded = {};
	for kind, request in pairs(options.requests) do encoded[kind] = mime.b64(request); end
	options.requests = encoded;
	ask("stream_start", options);
end

-- Lets requests flow as soon as the component is there. A kill stops them.
function world.stream_go()
	ask("stream_go");
end

-- Waits until that many more requests of the stream have been answered.
function world.stream_on(count)
	ask("stream_on", { count = count });
end

-- Ends the stream, and repeats each of its requests once more. > { records = { [number] = { kind, cuts, status, other } },
-- statuses = { [status] = how many }, bodies = { [text] = how often it arrived }, links = { [text] = URL } }
function world.stream_stop()
	return ask("stream_stop");
end

-- Runs a command line with curl in a shell; whatever host it names is this Prosody, and each port but 5281 is its port of plain HTTP.
-- > status, body
function world.curl(line)
	local body_name, script_name = os.tmpname(), os.tmpname();
	local script = assert(io.open(script_name, "w"));
	local tls = world.server.https_port
		and ("--cacert '%s' --connect-to :5281:127.0.0.1:%d "):format(world.server.authority, world.server.https_port) or "";
	script:write("curl() { env -u http_proxy -u all_proxy -u HTTP_PROXY -u ALL_PROXY curl -sS -o '", body_name,
		"' -w '%{http_code}' ", tls, "--connect-to ::127.0.0.1:", tostring(world.server.http_port), " \"$@\"; }\n", line, "\n");
	script:close();
	local shell = assert(io.popen("sh '" .. script_name .. "' 2>&1"));
	local output = shell:read("*a");
	shell:close();
	os.remove(script_name);
	local file = assert(io.open(body_name, "rb"));
	local body = file:read("*a");
	file:close();
	os.remove(body_name);
	local status = tonumber(output);
	if not status or status == 0 then error("curl: " .. output .. "\n" .. line, 2); end
	return status, body;
end

-- Runs Lua inside Prosody and returns its result.
function world.lua(code)
	return ask("lua", { code = code });
end

-- How many instructions of Lua Prosody needs for an event of a host. `stanza` is a Lua expression with `st`.
function world.steps(host, event, stanza) --> number
	return world.lua(([[
		local st, steps = require "util.stanza", 0;
		local stanza = %s;
		local events = prosody.hosts[%q].events;
		debug.sethook(function () steps = steps + 1; end, "", 1);
		local ok, err = pcall(events.fire_event, %q, { origin = prosody.hosts[%q]; stanza = stanza });
		debug.sethook();
		assert(ok, err);
		return steps]]):format(stanza, host, event, host));
end

-- "load", "unload" or "reload" of the module (or of another one) on a host. > true, or nil and the error
function world.module(action, host, name)
	local result = world.lua(("local ok, err = require 'core.modulemanager'.%s(%q, %q); return { ok = not not ok, err = err and tostring(err) }")
		:format(action, host or "example.com", name or "post_msg"));
	return result.ok or nil, result.err;
end

-- Prosody's log from that byte on.
function world.log(from)
	local file = assert(io.open(world.server.dir .. "/prosody.log", "rb"));
	file:seek("set", from or 0);
	local text = file:read("*a");
	file:close();
	return text;
end

-- Where the log ends now.
function world.log_mark()
	local file = assert(io.open(world.server.dir .. "/prosody.log", "rb"));
	local size = file:seek("end");
	file:close();
	return size;
end

-- The lines of the log, from that byte on, that are errors or belong to a stack trace.
function world.errors(from)
	local found = {};
	for line in world.log(from):gmatch("[^\n]+") do
		if line:find("\terror\t", 1, true) or line:find("raceback", 1, true) then found[#found + 1] = line; end
	end
	return found;
end

-- Reads a file of the installed module, or replaces it as `install` does: by a new one of the same name.
function world.plugin_file(name, content)
	local path = world.server.plugins .. "/mod_post_msg/" .. name;
	if content then
		local file = assert(io.open(path .. ".new", "wb"));
		file:write(content);
		file:close();
		assert(os.rename(path .. ".new", path));
		return;
	end
	local file = assert(io.open(path, "rb"));
	content = file:read("*a");
	file:close();
	return content;
end

return world;
