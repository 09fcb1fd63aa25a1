-- Real, unchanged programs publish to a base URL and a token alone: apprise, borgmatic, python-ntfy, gotify, and the notification
-- providers of Uptime Kuma. Their calls are in spec/support/publishers.

local json = require "dkjson";
local programs = require "spec.support.programs";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local here = debug.getinfo(1, "S").source:match("^@(.*)/spec/") or ".";
local drivers = here .. "/spec/support/publishers/";
local python = programs.folder .. "/python/bin/python";
local kuma = programs.folder .. "/uptime-kuma";

local function works(command) return programs.output_of(command .. " >/dev/null 2>&1 && echo works") ~= ""; end

-- > the beginning of a command line; or nil, and a line says that the program is not covered
local function driver(name, command, test)
	if test then return command; end
	print("not covered: " .. name .. ", which this machine does not have");
	return nil;
end

local function python_driver(name, module, file)
	return driver(name, ("'%s' '%s%s'"):format(python, drivers, file), works(("'%s' -c 'import %s'"):format(python, module)));
end

local node = programs.find("node");
local commands = {
	apprise = python_driver("apprise", "apprise", "apprise_urls.py");
	borgmatic = python_driver("borgmatic", "borgmatic.hooks.monitoring.ntfy", "borgmatic_hook.py");
	["python-ntfy"] = python_driver("python-ntfy", "python_ntfy", "ntfy_client.py");
	gotify = python_driver("gotify", "gotify", "gotify_client.py");
	["Uptime Kuma"] = node and driver("Uptime Kuma", ("'%s' '%suptime_kuma.js' '%s'"):format(node, drivers, kuma),
		works(("test -d '%s/node_modules/axios'"):format(kuma)));
};

-- The names of each program's calls in order, and the messages that arrive. `refused` is a pattern for what the program says.
-- A message is its body, with a line for each other part: see `shown`.
local expected = {
	apprise = {
		{ "ntfy", "A title\nntfy of apprise" };
		{ "ntfy, user and password", "A title\nwith a password" };
		{ "ntfy, no user", "without a title" };
		{ "ntfys", "A title\nntfys of apprise" };
		{ "ntfy, parameters",
			"❗ ⚠️ A title\nwith parameters\nOpen: https://example.com/open\n#backup #server\nhttps://example.com/click" };
		{ "ntfy, Markdown", "A title\nwith *Markdown*" };
		{ "ntfy, attachment by URL", "A title\nwith an attachment\n[link https://example.com/cat.jpg]" };
		{ "ntfy, two topics", "A title\nto two topics", "A title\nto two topics" };
		{ "ntfy, not ASCII", "Grüße ✔\nZeile 1\nZeile 2 €" };
		{ "ntfy, file", "A title\nwith a file\n[file backup.log: A line of a log\n]" };
		{ "ntfy, long text", "[its link]\n[file NAME.txt: A title\n" .. ("ü"):rep(2000) .. "]" };
		{ "ntfy, delay", refused = "^Failed to send ntfy notification to topic 'mytopic': .*, error=%d+%.$" };
		{ "ntfy, wrong token", refused = "^Failed to send ntfy notification to topic 'mytopic': .*, error=%d+%.$" };
		{ "gotify", "A title\ngotify of apprise" };
		{ "gotifys", "A title\ngotifys of apprise" };
		{ "gotify without a path", "A title\nwithout a path" };
		{ "gotifys without a path", "A title\nTLS without a path" };
		{ "gotify, parameters", "❗ A title\nwith *Markdown*" };
		{ "gotify, wrong token", refused = "error=401%.$" };
	};
	borgmatic = {
		{ "start", "⌛ A backup begins\nThe backup has begun.\n#borg_matic" };
		{ "finish", "🎉 Sicherung fertig ✔\nGröße 5 €" };
		{ "fail, its own texts", "A borgmatic FAIL event happened\nA borgmatic FAIL event happened\n#borgmatic" };
		{ "user and password", "⌛ A backup begins\nThe backup has begun.\n#borg_matic" };
		{ "a slash at the end", "⌛ A backup begins\nThe backup has begun.\n#borg_matic" };
		{ "without a path", "⌛ A backup begins\nThe backup has begun.\n#borg_matic" };
		{ "wrong token", refused = "^ntfy error: 401 Client Error" };
	};
	["python-ntfy"] = {
		{ "text", "python-ntfy: a message" };
		{ "title, priority and tags", "❗ 💾 A disk\nThe disk is full.\n#server" };
		{ "not ASCII", "Grüße\nÄrger: 5 € ✔\nzweite Zeile" };
		{ "Markdown", "*bold* and a page (https://example.com/)" };
		{ "actions", "with actions\nOpen: https://example.com/open" };
		{ "user and password", "with a password" };
		{ "without a path", "without a path" };
		{ "a slash at the end", "a slash at the end" };
		{ "email", "with an e-mail address" };
		{ "text file", "A file\n[file notes.txt: Some notes\n]" };
		-- Without a title, the client sends the title None.
		{ "picture", "None\n[file picture.png: \137PNG\r\n\26\n\0]" };
		{ "delay", refused = "^MessageSendError: Failed to send message: 422 " };
		{ "wrong token", refused = "^MessageSendError: Failed to send message: 401 " };
	};
	gotify = {
		{ "text", "gotify: a message" };
		{ "title and priority", "❗ A disk\nThe disk is full." };
		{ "not ASCII", "Grüße\nÄrger: 5 € ✔\nzweite Zeile" };
		{ "extras", "Extras\n*bold*\nhttps://example.com/click\n[link https://example.com/cat.jpg]" };
		{ "not blocking", "gotify: not blocking" };
		{ "without a path", "without a path" };
		{ "a slash at the end", "a slash at the end" };
		{ "version" };
		{ "wrong token", refused = "^GotifyError: 401 %S" };
	};
	["Uptime Kuma"] = {
		{ "ntfy, test", "🧪 mytopic [Uptime-Kuma]\nTesting" };
		{ "ntfy, down", "❗ 🔴 web Down [Uptime-Kuma]\nconnect ECONNREFUSED 192.0.2.1:443\nOpen web: https://www.example.com/" };
		{ "ntfy, up", "🟢 web Up [Uptime-Kuma]\n200 - OK\nOpen web: https://www.example.com/" };
		{ "ntfy without a path", "🧪 mytopic [Uptime-Kuma]\nTesting" };
		{ "ntfy, wrong token", refused = 'status code 401 {"' };
		{ "gotify, test", "Uptime-Kuma\nTesting" };
		{ "gotify, down", "Uptime-Kuma\n[web] [🔴 Down] connect ECONNREFUSED 192.0.2.1:443" };
		{ "gotify without a path", "Uptime-Kuma\nTesting" };
		{ "gotify, wrong token", refused = 'status code 401 {"' };
		{ "slack, test", "Kuma: Testing" };
		{ "slack, down", "Uptime Kuma Alert\n[web] [🔴 Down] connect ECONNREFUSED 192.0.2.1:443 @channel\n"
			.. "Time (Europe/Berlin): 2026-11-22 07:00:00\nVisit Uptime Kuma: https://status.example.com/dashboard/7" };
		{ "discord, test", "Kuma: Testing" };
		{ "discord, down", "Look:\n❌ Your service web went down. ❌\nService Name: web\nService URL: https://www.example.com/\n"
			.. "Time (Europe/Berlin): 2026-11-22 07:00:00\nError: connect ECONNREFUSED 192.0.2.1:443\n2026-11-22 06:00 UTC" };
		{ "discord, up", "Look:\n✅ Your service web is up! ✅\nService Name: web\nService URL: https://www.example.com/\n"
			.. "Time (Europe/Berlin): 2026-11-22 07:00:00\nPing: 42 ms\n2026-11-22 06:00 UTC" };
		{ "webhook, test", "Testing" };
		{ "webhook, down", "🔴 DOWN: web\nconnect ECONNREFUSED 192.0.2.1:443\nhttps://www.example.com/\n[thread uptime-kuma-7]" };
		{ "webhook, form", "✅ UP: web\n200 - OK\nhttps://www.example.com/\n[thread uptime-kuma-7]" };
		{ "webhook, custom body", "connect ECONNREFUSED 192.0.2.1:443\n[subject web]" };
		{ "pushover, test", "❗ Uptime Kuma\nTesting" };
		{ "pushover, down", "❗ Uptime Kuma\n[web] [🔴 Down] connect ECONNREFUSED 192.0.2.1:443\n*Time (Europe/Berlin)*:2026-11-22 07:00:00" };
		{ "pushover, wrong token", refused = 'status code 40[01] {"' };
	};
};

describe("programs that publish", function ()
	local folder, settings, here_url;

	local function token(format)
		local words = { "mod_post_msg", "token", "add", "me@example.com", "--to", "user@example.com" };
		if format then words[#words + 1], words[#words + 2] = "--as", format; end
		local out, err = world.prosodyctl(words);
		return out:match("([^\n]+)\n$") or error(err);
	end

	setup(function ()
		folder = programs.output_of("mktemp -d"):match("[^\n]+");
		assert.is_true(works(("cd '%s' && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
			.. "-keyout https.key -out https.crt"):format(folder)));
		local function read(name)
			local file = assert(io.open(folder .. "/" .. name));
			local text = file:read("*a");
			file:close();
			return text;
		end
		local https_port = wire.free_port();
		local options = world.defaults();
		-- Two names of this machine are the names of two hosts. One has the usual path, the other none.
		options.hosts["example.com"].lines = 'http_host = "127.0.0.1"';
		options.hosts["second.example"].lines = 'http_host = "localhost" http_paths = { post_msg = "/" }';
		options.components = 'Component "upload.example.com" "http_file_share"\n\thttp_host = "127.0.0.1"\n';
		options.files = { ["certs/https.crt"] = read("https.crt"), ["certs/https.key"] = read("https.key") };
		options.extra = ('https_ports = { %d } https_certificate = "certs/https.crt"'):format(https_port);
		world.start(options);
		local http_port = world.server.http_port;
		here_url = ("http://127.0.0.1:%d/"):format(http_port);
		-- Otherwise the links to files begin with https, and Prosody's own client refuses the certificate.
		world.lua(("require 'core.configmanager'.set('upload.example.com', 'http_external_url', %q)"):format(here_url));
		world.login("user@example.com");
		settings = {
			below = "127.0.0.1:" .. http_port, below_tls = "127.0.0.1:" .. https_port;
			root = "localhost:" .. http_port, root_tls = "localhost:" .. https_port;
			ntfy = token("ntfy"), gotify = token("gotify"), plain = token();
			webhooks = { slack = token("slack"), discord = token("discord"), webhook = token("uptime-kuma"), pushover = token("pushover") };
		};
	end);

	teardown(function ()
		if folder then os.execute("rm -rf '" .. folder .. "'"); end
		world.stop();
	end);

	local function unescaped(text)
		return text and text:gsub("&(%w+);", { amp = "&", lt = "<", gt = ">", quot = '"', apos = "'" }) or nil;
	end

	-- The content of a file that Prosody stores; nil for another link.
	local function content(url)
		if url:sub(1, #here_url) ~= here_url then return nil; end
		return programs.output_of(("curl -sS --fail --noproxy '*' '%s'"):format(url));
	end

	-- > the body, and a line for each other part
	local function shown(raw)
		local link = unescaped(raw:match("<x xmlns='jabber:x:oob'><url>(.-)</url></x>"));
		local body = unescaped(raw:match("<body>(.-)</body>"));
		local lines = { link and body == link and "[its link]" or body };
		local stored = link and content(link);
		if stored then
			-- Apprise makes a name of random digits.
			local name = link:match("[^/]*$"):gsub("^%x+%-%x+%-%x+%-%x+%-%x+%.", "NAME.");
			lines[#lines + 1] = "[file " .. name .. ": " .. stored .. "]"; -- the file may have NUL, which ends a text in `format` of Lua 5.1
		elseif link then
			lines[#lines + 1] = "[link " .. link .. "]";
		end
		for _, part in ipairs { "subject", "thread" } do
			local text = unescaped(raw:match("<" .. part .. "[^>]*>(.-)</" .. part .. ">"));
			lines[#lines + 1] = text and ("[%s %s]"):format(part, text);
		end
		return table.concat(lines, "\n");
	end

	local function run(command)
		settings.folder = folder;
		local output = programs.output_of(("env -u http_proxy -u https_proxy -u HTTP_PROXY -u HTTPS_PROXY -u all_proxy -u ALL_PROXY %s '%s' 2>&1")
			:format(command, json.encode(settings)));
		return json.decode(output:match("(%[%[[^\n]*)\n$") or "") or error(output);
	end

	for name, command in pairs(commands) do
		it("get the answers that they expect, and their messages arrive: " .. name, function ()
			local outcomes, expected_outcomes, bodies, expected_bodies = {}, {}, {}, {};
			for i, outcome in ipairs(run(command)) do
				local text = outcome[2] == true and "sent" or tostring(outcome[2]);
				local refused = (expected[name][i] or {}).refused;
				if refused and text:find(refused) then text = "refused"; end
				outcomes[i] = ("%s: %s"):format(outcome[1], text);
			end
			for i, call in ipairs(expected[name]) do
				expected_outcomes[i] = ("%s: %s"):format(call[1], call.refused and "refused" or "sent");
				for j = 2, #call do expected_bodies[#expected_bodies + 1] = call[j]; end
			end
			local messages, trouble = world.collect();
			for i, raw in ipairs(messages["user@example.com"]) do bodies[i] = shown(raw); end
			assert.same({}, trouble);
			assert.same(expected_outcomes, outcomes);
			assert.same(expected_bodies, bodies);
			assert.same({}, world.errors());
		end);
	end
end);
