-- `prosodyctl mod_post_msg start` and `check` on a Debian server with Debian's configuration: what is missing, and that each advice leads to
-- a server that works.

local debian = require "spec.support.debian";
local programs = require "spec.support.programs";

local with_module, localhost; -- Debian's configuration with the module, and its line of the host

-- Runs `check`. > lines, exit status
local function check()
	local status, out = debian.prosodyctl("mod_post_msg check");
	return out, status;
end

local function assert_finds(...)
	local out, status = check();
	assert.equal(1, status, out);
	for _, part in ipairs { ... } do
		assert.is_truthy(out:find(part, 1, true), part .. " is not in:\n" .. out);
	end
	local _, problems = out:gsub("problem: ", "");
	assert.equal(1, problems, out);
	return out;
end

local function assert_finds_nothing(...)
	local out, status = check();
	assert.equal(0, status, out);
	for _, part in ipairs { "No problems were found.\n", ... } do
		assert.is_truthy(out:find(part, 1, true), part .. " is not in:\n" .. out);
	end
end

-- Runs a command that a sentence names.
local function follow(text, pattern)
	local command = assert(text:match(pattern), text);
	local status, out, err = debian.sh_there(command);
	assert.equal(0, status, command .. "\n" .. out .. err);
end

local function register(...)
	for _, address in ipairs { ... } do
		local status, out, err = debian.prosodyctl("register " .. address:gsub("@", " ") .. " mypassword");
		assert.equal(0, status, out .. err);
	end
end

-- Runs `start`, and the line that it prints, as a shell does. > its output
local function assert_starts(from, to, url)
	local status, out, err = debian.prosodyctl("mod_post_msg start " .. from .. " " .. to);
	assert.equal(0, status, out .. err);
	assert.matches("^[^\n]*The message was sent to " .. to, (out:gsub("^.*\n(The message)", "%1")));
	local line = assert(out:match("\n(curl [^\n]*)\n"), out);
	assert.is_truthy(line:find("curl " .. url .. "/" .. to .. " ", 1, true), line);
	local _, answer = debian.sh(line .. " -sS -o /dev/null -w '%{http_code}' 2>&1");
	assert.equal("201", answer, line);
	return out;
end

local function assert_does_not_start(from, to, ...)
	local status, out, err = debian.prosodyctl("mod_post_msg start " .. from .. " " .. to);
	assert.equal(1, status, out);
	for _, part in ipairs { ... } do
		assert.is_truthy(err:find(part, 1, true), part .. " is not in:\n" .. err);
	end
	return err;
end

-- Debian's configuration, with the line in the list and a host.
local function with_host(lines)
	return with_module .. '\nVirtualHost "example.com"\n' .. (lines or "");
end

local obstacle = debian.obstacle();

describe("the first message on a Debian server", function ()
	if obstacle then
		pending(obstacle);
		return;
	end

	lazy_setup(function ()
		debian.set_up();
		debian.trust_authority { "example.com", "other.example", "upload.example.com", "xn--bcher-kva.example" };
		with_module = debian.config():gsub('\nmodules_enabled = {\n', '%0\t\t"post_msg";\n');
		localhost = '\nVirtualHost "localhost"\n';
		assert.is_truthy(with_module:find(localhost, 1, true));
		debian.start(with_host());
		register("me@localhost", "user@localhost", "me@example.com", "user@example.com");
	end);

	lazy_teardown(debian.stop);

	before_each(function ()
		debian.set_names {};
		debian.import("example.com");
	end);

	describe("with an account of localhost", function ()
		it("arrives, and nothing is wrong", function ()
			debian.start(with_module);
			assert_finds_nothing("url: http://localhost:5280/msg (on this machine only)\n");
			local out = assert_starts("me@localhost", "user@localhost", "http://localhost:5280/msg");
			assert.is_nil(out:find("this machine only", 1, true), out);
			local _, mail = debian.sh_there("cat /var/lib/prosody/localhost/offline/user.list");
			local _, greetings = mail:gsub("Hello", "");
			assert.equal(2, greetings, mail);
		end);

		it("has a token that can only send to the recipient", function ()
			local out = assert_starts("me@localhost", "user@localhost", "http://localhost:5280/msg");
			local line = out:match("\n(curl [^\n]*)\n"):gsub("user@localhost", "me@localhost", 1);
			local _, answer = debian.sh(line .. " -sS -o /dev/null -w '%{http_code}' 2>&1");
			assert.equal("403", answer);
			follow(out, "prosodyctl mod_post_msg token revoke %x+");
		end);

		it("makes no token if it fails", function ()
			local _, before = debian.prosodyctl("mod_post_msg token list me@localhost");
			debian.start(with_host("Component \"rooms.example.com\" \"muc\"\n"));
			assert_does_not_start("me@localhost", "room@rooms.example.com", "No message was sent (404): room@rooms.example.com: item-not-found");
			local _, after = debian.prosodyctl("mod_post_msg token list me@localhost");
			assert.equal(before, after);
		end);
	end);

	describe("says what to do about", function ()
		it("an account that does not exist", function ()
			debian.start(with_host());
			local err = assert_does_not_start("new@example.com", "user@example.com",
				"There is no account new@example.com; make it: prosodyctl adduser new@example.com\n");
			assert_does_not_start("me@localhost", "new@example.com", "There is no account new@example.com; make it: prosodyctl adduser");
			local command = err:match("prosodyctl adduser %S+");
			local status, _, fault = debian.sh_there("printf 'word\\nword\\n' | " .. command);
			assert.equal(0, status, fault);
			assert_starts("new@example.com", "user@example.com", "http://127.0.0.1:5280/msg");
		end);

		it("a host that does not exist, and words that are no address", function ()
			assert_does_not_start("me@example.org", "user@example.com",
				"example.org is not a VirtualHost of this server (these are: example.com, localhost). If it should be one, write at the end of",
				'VirtualHost "example.org" { modules_enabled = { "post_msg" } }\n');
			assert_does_not_start("me", "user", "me is not the address of an account; write user@example.com\n");
			assert_does_not_start("me@example.com", "@", "@ is not an address; write user@example.com\n");
			assert_does_not_start("me@example.com", "", "Say who sends and who receives: start me@example.com user@example.com\n");
		end);

		it("a Prosody that does not run", function ()
			debian.start(with_host());
			debian.stop();
			assert_does_not_start("me@example.com", "user", "example.com: http://127.0.0.1:5280/msg: nothing listens on port 5280 of this machine. ",
				"Prosody does not run, or it was started before the module or its ports were configured; restart it: systemctl restart prosody\n");
			local out, status = check();
			assert.equal(1, status);
			assert.is_truthy(out:find("problem: example.com: http://127.0.0.1:5280/msg: nothing listens on port 5280 of this", 1, true), out);
			debian.start();
			assert_starts("me@example.com", "user@example.com", "http://127.0.0.1:5280/msg");
		end);

		it("a Prosody that was not restarted", function ()
			local without = with_host():gsub('\nVirtualHost "example.com"\n', '%0\tmodules_disabled = { "post_msg" }\n');
			debian.start(without);
			debian.write("/etc/prosody/prosody.cfg.lua", with_host());
			local sentence = "it has not loaded the module on example.com; restart it: systemctl restart prosody";
			assert_does_not_start("me@example.com", "user@example.com", sentence);
			local out = check();
			assert.is_truthy(out:find(sentence, 1, true), out);
			debian.start();
			assert_starts("me@example.com", "user@example.com", "http://127.0.0.1:5280/msg");
		end);

		it("a line that was pasted below another host", function ()
			local lines = 'modules_enabled = {\n\t"post_msg";\n}\n';
			local config = debian.config():gsub(localhost, '\nVirtualHost "example.com"\n%0');
			debian.start(config .. lines);
			local out = assert_finds("Only localhost loads the module", "write at the end of /etc/prosody/prosody.cfg.lua: VirtualHost");
			assert_does_not_start("me@example.com", "user@example.com", "example.com does not load the module. Before a restart of Prosody (",
				'VirtualHost "example.com" { modules_enabled = { "post_msg" } }\n');
			debian.start(config .. lines .. out:match('VirtualHost "example.com" { [^\n]*') .. "\n");
			assert_starts("me@example.com", "user@example.com", "http://127.0.0.1:5280/msg");
		end);

		it("a list that replaces Debian's list", function ()
			local lines = 'modules_enabled = {\n\t"post_msg";\n}\n';
			debian.set_names { ["example.com"] = "192.0.2.1" };
			debian.start((debian.config():gsub(localhost, lines .. "%0")));
			assert_finds('localhost: The list modules_enabled lacks "saslauth", so no client can log in.', "the second one replaces the first");
			debian.start(with_module);
			assert_finds_nothing();
		end);

		it("a module that is switched off, and a host with several lists", function ()
			debian.start((with_host('\tmodules_disabled = { "post_msg" }\n')));
			assert_does_not_start("me@example.com", "user@example.com", 'delete "post_msg" from modules_disabled of VirtualHost "example.com"');
			debian.start(debian.config() .. '\nVirtualHost "example.com" { modules_enabled = { "post_msg" } }\n'
				.. 'VirtualHost "example.com" { modules_enabled = { "mam" } }\n', true);
			assert_does_not_start("me@example.com", "user@example.com",
				'write "post_msg"; into the list modules_enabled of VirtualHost "example.com" (if it has several lists, into the last)');
		end);

		it("a setting that has no effect where it is", function ()
			debian.set_names { ["example.com"] = "192.0.2.1" };
			debian.start(with_module .. 'Component "rooms.example.com" "muc"\npost_msg_access = { "me@localhost" }\n');
			assert_finds("problem: post_msg_access is in the section rooms.example.com, which does not load the module, so it has no effect");
		end);

		it("a folder of templates that cannot be read", function ()
			debian.sh_there("mkdir -p /etc/prosody/templates && chmod 700 /etc/prosody/templates");
			debian.start('post_msg_templates = "/etc/prosody/templates"\n' .. with_module);
			local out = assert_finds("problem: localhost: The folder /etc/prosody/templates (post_msg_templates) cannot be read");
			follow(out, "chmod a%+rx /[%w/]+");
			debian.start();
			assert_finds_nothing();
		end);

		it("a certificate that cannot be read", function ()
			debian.set_names { ["example.com"] = "192.0.2.1" };
			debian.sh_there("chmod 600 /etc/prosody/certs/example.com.key && chown root /etc/prosody/certs/example.com.key");
			debian.start(with_host());
			local out, status = check();
			assert.equal(1, status);
			follow(out, ": (prosodyctl %-%-root cert import /etc/letsencrypt/live)");
			debian.start();
			assert_finds_nothing("url: https://example.com:5281/msg\n");
		end);

		it("a host without the module", function ()
			debian.start(debian.config(), true);
			local out = assert_finds("No host loads the module; write at the end of /etc/prosody/prosody.cfg.lua: VirtualHost");
			debian.start(debian.config() .. out:match('VirtualHost "localhost" { [^\n]*'));
			assert_finds_nothing();
		end);

		it("a name without an address, and a host without a certificate", function ()
			debian.import();
			debian.certify("example.com");
			debian.start(with_host());
			assert_finds("problem: example.com: example.com has no address, so no other machine can reach https://example.com:5281/msg; "
				.. "make a DNS record for example.com");
			local out = assert_starts("me@example.com", "user@example.com", "http://127.0.0.1:5280/msg");
			assert.is_truthy(out:find("The line works on this machine only. example.com has no address", 1, true), out);

			debian.set_names { ["example.com"] = "192.0.2.1" };
			out = assert_finds("problem: example.com: https://example.com:5281/msg ends in a handshake error",
				"because Prosody has no certificate for example.com, or cannot read it; get one, such as by certbot");
			follow(out, ": (prosodyctl %-%-root cert import [^\n]*)");
			debian.start();
			assert_finds_nothing("url: https://example.com:5281/msg\n");
			out = assert_starts("me@example.com", "user@example.com", "https://example.com:5281/msg");
			assert.is_nil(out:find("this machine only", 1, true), out);
		end);

		it("a certificate of another name, and a certificate that clients reject", function ()
			debian.set_names { ["example.com"] = "192.0.2.1" };
			debian.import();
			debian.certify("other.example");
			debian.sh_there([[cd /etc/letsencrypt/live/other.example && cp fullchain.pem /etc/prosody/certs/example.com.crt &&
				cp privkey.pem /etc/prosody/certs/example.com.key && chmod 644 /etc/prosody/certs/*]]);
			debian.start(with_host());
			assert_finds("problem: example.com: The certificate of https://example.com:5281/msg is for other.example; get one");
			assert_starts("me@example.com", "user@example.com", "http://127.0.0.1:5280/msg");

			debian.sh(([[cd '%s' && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=example.com \
				-addext subjectAltName=DNS:example.com -keyout example.com.key -out example.com.crt]]):format(debian.path("/etc/prosody/certs")));
			debian.start();
			local out = assert_finds("problem: example.com: Clients reject the certificate of https://example.com:5281/msg (", "Otherwise, get one");
			debian.certify("example.com");
			follow(out, ": (prosodyctl %-%-root cert import [^\n]*)");
			debian.start();
			assert_finds_nothing("url: https://example.com:5281/msg\n");
		end);

		it("a name that leads to another machine, or to an address where nothing answers", function ()
			debian.set_names { ["example.com"] = "192.0.2.77" };
			debian.start(with_host());
			assert_finds("problem: example.com: example.com leads to 192.0.2.77, ", " on port 5281 (", "; open the port in the firewall");
			debian.set_names { ["example.com"] = "192.0.2.1" };
			assert_finds_nothing("url: https://example.com:5281/msg\n");
		end);

		it("a host that is switched off", function ()
			debian.set_names { ["example.com"] = "192.0.2.1" };
			debian.start(with_module .. '\nVirtualHost "example.com"\n\tenabled = false\n');
			assert_finds_nothing();
			assert_does_not_start("me@example.com", "user@example.com",
				'VirtualHost "example.com" is switched off; delete its line enabled = false');
		end);

		it("a host without accounts", function ()
			debian.set_names { ["example.com"] = "192.0.2.1" };
			debian.start(with_host() .. 'VirtualHost "guests.example.com"\n\tauthentication = "anonymous"\n');
			assert_finds_nothing();
			assert_does_not_start("me@guests.example.com", "user@example.com", "guests.example.com has no accounts");
		end);

		it("a certificate without the IP address of the URL", function ()
			debian.set_names { ["example.com"] = "192.0.2.1" };
			debian.start('http_external_url = "https://192.0.2.1:5281/"\nhttps_certificate = "certs/example.com.crt"\n' .. with_host());
			assert_finds("problem: example.com: The certificate of https://192.0.2.1:5281/msg is for example.com; give the proxy a certificate");
			assert_starts("me@example.com", "user@example.com", "https://example.com:5281/msg");
		end);

		it("a name with letters beyond ASCII", function ()
			debian.set_names { ["xn--bcher-kva.example"] = "192.0.2.1" };
			debian.certify("xn--bcher-kva.example");
			local host = '\nVirtualHost "bücher.example"\n';
			debian.start(with_module .. host);
			register("me@bücher.example");
			local out = assert_finds("HTTP clients send the name bücher.example as xn--bcher-kva.example; write http_host =");
			debian.import("xn--bcher-kva.example");
			debian.start(with_module .. host .. "\t" .. out:match('http_host = "[^"]*"') .. "\n");
			assert_finds_nothing("url: https://xn--bcher-kva.example:5281/msg\n");
			assert_starts("me@bücher.example", "user@localhost", "https://xn--bcher-kva.example:5281/msg");
		end);

		it("an external URL that is not encrypted, or is no URL", function ()
			debian.set_names { ["example.com"] = "192.0.2.1" };
			debian.start('http_external_url = "http://example.com/"\n' .. with_host());
			assert_finds("problem: example.com: http_external_url begins with http://", 'write "https://example.com/"');
			assert_starts("me@example.com", "user@example.com", "https://example.com:5281/msg");
			debian.start('http_external_url = "http://example.com/"\n' .. with_host() .. 'Component "upload.example.com" "http_file_share" {}\n');
			local uploads = check();
			assert.is_truthy(uploads:find("problem: upload.example.com: http_external_url: nothing listens on port 80 of this machine", 1, true), uploads);
			debian.start('http_external_url = "example.com/"\nhttps_ports = { "5281", "x" }\nhttp_ports = false\n' .. with_host());
			local out = check();
			assert.is_truthy(out:find('http_external_url is example.com/, which is not a URL; write a URL such as "https://example.com/"', 1, true), out);
			assert.is_truthy(out:find("https_ports contains x, which is not a port; write a number\n", 1, true), out);
			assert.is_truthy(out:find("url: https://example.com:5281/msg\n", 1, true), out);
		end);

		it("plain HTTP that other machines can reach", function ()
			debian.set_names { ["example.com"] = "192.0.2.1" };
			debian.start('http_interfaces = { "*" }\n' .. with_host():gsub(localhost, "\n"));
			local out = assert_finds("problem: example.com: Plain HTTP (port 5280) is served to other machines");
			assert.is_truthy(out:find("url: http://example.com:5280/msg (not encrypted)\n", 1, true), out);
			debian.start(out:match("post_msg_require_encryption = true") .. '\nhttp_interfaces = { "*" }\n' .. with_host());
			assert_finds_nothing();
			assert_starts("me@example.com", "user@example.com", "https://example.com:5281/msg");
		end);

		it("a room that does not exist", function ()
			debian.start(with_host() .. 'Component "rooms.example.com" "muc"\n');
			assert_does_not_start("me@example.com", "alerts@rooms.example.com", "No message was sent (404): alerts@rooms.example.com: ",
				"make the room with a chat client, and make it persistent");
		end);
	end);

	describe("with an upload service", function ()
		local component = 'Component "upload.example.com" "http_file_share"\n';

		it("says what to do about its name and its certificate", function ()
			debian.certify("upload.example.com");
			debian.set_names { ["example.com"] = "192.0.2.1" };
			debian.start(with_host() .. component);
			assert_finds("problem: upload.example.com: upload.example.com has no address",
				"https://upload.example.com:5281/file_share; make a DNS record for upload.example.com");
			debian.set_names { ["example.com"] = "192.0.2.1", ["upload.example.com"] = "192.0.2.1" };
			local out = assert_finds("problem: upload.example.com: ", "https://upload.example.com:5281/file_share", "prosodyctl --root cert import");
			follow(out, ": (prosodyctl %-%-root cert import [^\n]*)");
			debian.start();
			assert_finds_nothing();
		end);
	end);

	describe("behind a proxy", function ()
		local nginx = programs.find("nginx");
		if not nginx then
			pending("not covered: nginx, which this machine does not have");
			return;
		end

		local folder, runs;
		local function proxy(locations)
			if not folder then
				folder = programs.output_of("mktemp -d"):match("[^\n]+");
				debian.sh(("chmod 755 '%s' && cp '%s'/example.com.* '%s'"):format(folder, debian.certificates(), folder));
			end
			local file = assert(io.open(folder .. "/nginx.conf", "w"));
			file:write((([[
				daemon on; pid DIR/nginx.pid; error_log DIR/nginx.log; events {}
				http {
					access_log off; client_body_temp_path DIR/body; proxy_temp_path DIR/proxy;
					fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
					server { listen 443 ssl; ssl_certificate DIR/example.com.crt; ssl_certificate_key DIR/example.com.key; LOCATIONS }
				}
			]]):gsub("DIR", folder):gsub("LOCATIONS", locations)));
			file:close();
			if runs then debian.sh(("kill $(cat '%s/nginx.pid')"):format(folder)); end
			debian.wait_until(function () return not debian.accepts_connections(443); end, "nginx does not end");
			assert.equal("", programs.output_of(("%s -c '%s/nginx.conf' 2>&1"):format(nginx, folder)));
			runs = true;
		end

		local function location(path, host)
			return ("location %s { proxy_pass http://127.0.0.1:5280; proxy_set_header Host %s; proxy_set_header X-Forwarded-Proto https; }")
				:format(path, host);
		end

		lazy_teardown(function ()
			if runs then debian.sh(("kill $(cat '%s/nginx.pid')"):format(folder)); end
			if folder then os.execute("rm -rf '" .. folder .. "'"); end
		end);

		before_each(function () debian.set_names { ["example.com"] = "192.0.2.1" }; end);

		it("says that the proxy does not run, or does not pass requests to the module", function ()
			debian.import();
			debian.start('http_external_url = "https://example.com/"\n' .. with_host());
			assert_finds("problem: example.com: http_external_url: nothing listens on port 443 of this machine; start the proxy");
			assert_starts("me@example.com", "user@example.com", "http://127.0.0.1:5280/msg");
			proxy(location("/msg", "127.0.0.1"));
			assert_finds("problem: example.com: https://example.com/msg is answered with 404, and not by this module; "
				.. "have the proxy pass /msg to Prosody, with the header Host: example.com.");
			proxy(location("/msg", "example.com"):gsub(":5280", ":5299"));
			assert_finds("https://example.com/msg is answered with 502: the proxy cannot reach Prosody; have it pass /msg to a port of Prosody");
			proxy(location("/msg", "example.com"):gsub("{", "{ if ($request_method = OPTIONS) { return 204; }"));
			assert_finds_nothing("url: https://example.com/msg\n");
			assert_starts("me@example.com", "user@example.com", "https://example.com/msg");
		end);

		it("says that Prosody takes its requests as not encrypted", function ()
			local config = 'http_external_url = "https://example.com/"\npost_msg_require_encryption = true\n' .. with_host();
			local sentence = "Prosody takes the requests of the proxy at https://example.com/msg as not encrypted";
			local to_prosody = location("/msg", "example.com"):gsub("}", "proxy_set_header X-Forwarded-For $remote_addr; }");
			proxy((to_prosody:gsub("proxy_set_header X%-Forwarded%-Proto https;", "")));
			debian.start(config);
			assert_finds(sentence, "have the proxy send X-Forwarded-Proto: https, and add its address to trusted_proxies");
			proxy(to_prosody);
			assert_finds_nothing("url: https://example.com/msg\n");
			-- A proxy with another address than 127.0.0.1 is not trusted.
			proxy((to_prosody:gsub("127%.0%.0%.1:5280", "192.0.2.1:5280")));
			config = 'http_interfaces = { "127.0.0.1", "192.0.2.1" }\n' .. config;
			debian.start(config);
			assert_finds(sentence);
			debian.start('trusted_proxies = { "127.0.0.1", "192.0.2.1" }\n' .. config);
			assert_finds_nothing("url: https://example.com/msg\n");
		end);

		it("does not wait for a server that sends one byte at a time, and does not show its control characters", function ()
			local command = "/usr/bin/python3 spec/support/foreign_server.py 192.0.2.1 %d %s >/dev/null 2>&1 &";
			os.execute(command:format(444, ("'%s/example.com.crt' '%s/example.com.key'"):format(debian.certificates(), debian.certificates())));
			os.execute(command:format(81, ""));
			debian.wait_until(function ()
				return debian.accepts_connections(444, "192.0.2.1") and debian.accepts_connections(81, "192.0.2.1");
			end, "the servers do not start");
			debian.start('http_external_url = "http://example.com:81/slow"\n' .. with_host());
			assert_finds("problem: example.com: http_external_url begins with http://");
			debian.start('http_external_url = "https://example.com:444/slow"\n' .. with_host());
			assert_finds("problem: example.com: https://example.com:444/slow/msg does not answer (");
			debian.start('http_external_url = "https://example.com:444/"\n' .. with_host());
			local err = assert_does_not_start("me@example.com", "user@example.com", "No message was sent (422): a b\n");
			assert.is_nil(err:find("\27", 1, true));
		end);

		it("says what is missing for uploads", function ()
			proxy(location("/msg", "example.com"));
			debian.start('http_external_url = "https://example.com/"\n' .. with_host() .. 'Component "upload.example.com" "http_file_share"\n');
			local out = assert_finds("problem: upload.example.com: https://example.com/file_share is answered with 404, and not by mod_http_file_share; ",
				"have the proxy pass /file_share to Prosody, and write at the end of /etc/prosody/prosody.cfg.lua: Component");
			proxy(location("/msg", "example.com") .. location("/file_share", "example.com"));
			debian.start('http_external_url = "https://example.com/"\n' .. with_host() .. 'Component "upload.example.com" "http_file_share"\n'
				.. out:match('Component "upload.example.com" "http_file_share" { [^\n]*') .. "\n");
			assert_finds_nothing("url: https://example.com/msg\n");
			local line = assert_starts("me@example.com", "user@example.com", "https://example.com/msg"):match("\n(curl [^\n]*)\n");
			local _, answer = debian.sh((line:gsub(" %-H 'Content%-Type.*", " -sS -F file=@/etc/hostname -H 'Accept: application/json'")));
			local url = answer:match('"url":"(https://example.com/file_share/[^"]*)"');
			assert.is_string(url, answer);
			local _, content = debian.sh("curl -sS " .. url);
			assert.equal(io.open("/etc/hostname"):read("*a"), content);
		end);
	end);
end);
