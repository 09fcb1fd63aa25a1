-- Prosody behind the proxies of docs/proxies.md, with curl as the client. The blocks of that page are unchanged, except ports,
-- addresses of interfaces, and the path of the certificate.

local programs = require "spec.support.programs";
local socket = require "socket";
local read_file = require "pl.file".read;
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local here = debug.getinfo(1, "S").source:match("^@(.*)/spec/") or ".";
local page = read_file(here .. "/docs/proxies.md");
local output_of = programs.output_of;

local function block(language)
	return assert(page:match("```" .. language .. "\n(.-)```"), "docs/proxies.md has no block of " .. language);
end

local limit = 10 * 1024 * 1024; -- Prosody's default http_max_content_size
local folder, plain, tls, authority;

local function write(name, text)
	local file = assert(io.open(folder .. "/" .. name, "wb"));
	file:write(text);
	file:close();
end

local function read(name)
	return read_file(folder .. "/" .. name);
end

-- A block, with ports of 127.0.0.1; 127.0.0.6 replaces all IPv6 addresses.
local function placed(text)
	return (text:gsub("%[::%]:", "127.0.0.6:"):gsub("listen (%d+[ ;])", "listen 127.0.0.1:%1"):gsub("bind :", "bind 127.0.0.1:")
		:gsub("<VirtualHost %*:", "<VirtualHost 127.0.0.1:")
		:gsub(":80%f[%D]", ":" .. plain):gsub(":443%f[%D]", ":" .. tls):gsub(":5280%f[%D]", ":" .. world.server.http_port)
		:gsub("/etc/ssl/example%.com/", folder .. "/"));
end

-- The configuration around the blocks has time-outs of 3 seconds, so a request can wait longer only by the time-outs of the blocks.
local proxies = {
	{
		name = "nginx"; language = "nginx"; addresses = { "127.0.0.2", "127.0.0.3" }; timeout = "proxy_read_timeout (%d+)s;";
		start = function (program)
			write("nginx.conf", ([[
				daemon on; pid DIR/nginx.pid; error_log DIR/nginx.log; events {}
				http {
					access_log off; client_body_temp_path DIR/body; proxy_temp_path DIR/proxy;
					fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
					proxy_read_timeout 3s; send_timeout 3s;
			]]):gsub("DIR", folder) .. placed(block("nginx")) .. "}\n");
			assert.equal("", output_of(("%s -c '%s/nginx.conf' 2>&1"):format(program, folder)));
		end;
	}, {
		name = "apache2"; language = "apache"; addresses = { "127.0.0.7", "127.0.0.8" }; timeout = "timeout=(%d+)\n";
		start = function (program)
			local lines = {
				"ServerRoot DIR", "ServerName localhost", "DefaultRuntimeDir DIR", "PidFile DIR/apache2.pid", "ErrorLog DIR/apache2.log",
				"User www-data", "Group www-data", "Timeout 3", "Listen 127.0.0.1:" .. plain, "Listen 127.0.0.1:" .. tls,
			};
			-- Debian's default modules with an effect here, the modules that the page names, and the modules that these need.
			for name in ("mpm_event authz_core alias reqtimeout proxy proxy_http ssl socache_shmcb headers"):gmatch("%S+") do
				lines[#lines + 1] = ("LoadModule %s_module MODULES/mod_%s.so"):format(name, name);
			end
			write("apache.conf", (table.concat(lines, "\n"):gsub("DIR", folder):gsub("MODULES", (program:gsub("/[^/]*/[^/]*$", "/lib/apache2/modules"))))
				.. "\n" .. placed(block("apache")));
			assert.equal("", output_of(("%s -f '%s/apache.conf' -k start 2>&1"):format(program, folder)));
		end;
	}, {
		name = "caddy"; language = "caddyfile"; addresses = { "127.0.0.9", "127.0.0.10" };
		authority = "/caddy/pki/authorities/local/root.crt"; -- Caddy's own: no public authority is asked for a certificate
		cuts_early_answers = true; -- as the page says
		redirects = true; -- each path of plain HTTP except the module's paths
		start = function (program)
			write("Caddyfile", ([[{
				admin off
				http_port PLAIN
				https_port TLS
				local_certs
				skip_install_trust
				storage file_system DIR/caddy
			}
			]]):gsub("PLAIN", plain):gsub("TLS", tls):gsub("DIR", folder) .. placed(block("caddyfile")));
			os.execute(("HOME='%s' %s run --adapter caddyfile --config '%s/Caddyfile' >'%s/caddy.log' 2>&1 & echo $! >'%s/caddy.pid'")
				:format(folder, program, folder, folder, folder));
		end;
	}, {
		name = "haproxy"; language = "haproxy"; addresses = { "127.0.0.4", "127.0.0.5" }; timeout = "timeout server (%d+)s\n";
		start = function (program)
			write("haproxy.cfg", "defaults\n\ttimeout connect 3s\n\ttimeout client 3s\n\ttimeout server 3s\n" .. placed(block("haproxy")));
			assert.equal("", output_of(("%s -q -c -f '%s/haproxy.cfg' 2>&1"):format(program, folder)));
			os.execute(("%s -f '%s/haproxy.cfg' >'%s/haproxy.log' 2>&1 & echo $! >'%s/haproxy.pid'"):format(program, folder, folder, folder));
		end;
	};
};

-- Sends a request with curl from an address, over TLS unless the URL is http, with these further arguments. It is a GET unless the
-- arguments have a body.
-- > { status, body, head, seconds }
local function request(address, arguments, url, password)
	local output = output_of(("env -u http_proxy -u https_proxy -u all_proxy -u HTTPS_PROXY -u ALL_PROXY curl -sS --interface %s "
		.. "--cacert '%s' --connect-to example.com:443:127.0.0.1:%d --connect-to example.com:80:127.0.0.1:%d "
		.. "-o '%s/answer' -D '%s/head' -w '%%{http_code} %%{time_total}' -u 'me@example.com:%s' %s %s '%s' 2>&1")
		:format(address, authority or folder .. "/fullchain.pem", tls, plain, folder, folder, password or world.password["me@example.com"],
			arguments:find("%-d ") and not arguments:find("Content-Type", 1, true) and "-H 'Content-Type: text/plain'" or "", arguments,
			url or "https://example.com/msg/user"));
	local status, seconds = output:match("^(%d%d%d) (%S+)$");
	if not status then error("curl: " .. output, 2); end
	return { status = tonumber(status); body = (read("answer"):gsub("\n$", "")); head = read("head"):lower(); seconds = tonumber(seconds) };
end

-- Prosody notes each request to /msg/user before it is answered.
local function watch()
	world.lua([[
		prosody.spec_requests = { count = 0, connections = {} };
		require "net.http.server"._events.add_handler("POST example.com/msg/*", function (event)
			local seen, request = prosody.spec_requests, event.request;
			seen.count, seen.ip, seen.secure = seen.count + 1, request.ip, not not request.secure;
			seen.connections[request.conn] = true;
		end, 1000);
	]]);
end

-- > { count, connections, ip, secure } of the requests so far; `ip` and `secure` are from the last one
local function seen()
	return world.lua([[
		local seen, connections = prosody.spec_requests, 0;
		for _ in pairs(seen.connections) do connections = connections + 1; end
		return { count = seen.count, connections = connections, ip = seen.ip, secure = seen.secure };
	]]);
end

-- An address of this machine that is not of the loopback interface. Nothing is sent.
local function own_address()
	local probe = socket.udp();
	local found = probe:setpeername("192.0.2.1", 9) and probe:getsockname();
	probe:close();
	return found and not found:find("^127%.") and found ~= "0.0.0.0" and found or nil;
end

-- A slot of the upload service for a file of `size` bytes, as an XMPP client gets it.
local function slot(size) --> { url, authorization }
	return world.lua(([[
		local st, slot = require "util.stanza", nil;
		prosody.hosts["upload.example.com"].events.fire_event("iq-get/host/urn:xmpp:http:upload:0:request", {
			stanza = st.iq({ type = "get"; id = "slot"; from = "me@example.com/x"; to = "upload.example.com" })
				:tag("request", { xmlns = "urn:xmpp:http:upload:0"; filename = "over there.bin"; size = "%d" });
			origin = { send = function (reply) slot = reply:get_child("slot", "urn:xmpp:http:upload:0"); end };
		});
		local put = slot:get_child("put");
		return { url = put.attr.url; authorization = put:get_child_text("header") };
	]]):format(size));
end

local function arrives(text)
	local raw = world.receive("user@example.com");
	assert.is_truthy(raw:find("<body>" .. text .. "</body>", 1, true), raw);
end

describe("behind a proxy", function ()
	setup(function ()
		folder = output_of("mktemp -d"):match("[^\n]+");
		os.execute("chmod 755 '" .. folder .. "'"); -- nginx gives up root's rights
		os.execute(("cd '%s' && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=example.com -addext subjectAltName=DNS:example.com "
			.. "-keyout privkey.pem -out fullchain.pem 2>/dev/null && cat fullchain.pem privkey.pem >haproxy.pem"):format(folder));
		write("over", ("x"):rep(limit + 1));
		write("far-over", ("x"):rep(1.5 * limit));
		local start, finish = '{"body": "just under", "padding": "', '"}';
		write("under", start .. ("x"):rep(limit - #start - #finish) .. finish);
		world.start({ extra = block("lua") });
		world.login("user@example.com");
		watch();
	end);

	teardown(function ()
		if folder then os.execute("rm -rf '" .. folder .. "'"); end
		world.stop();
	end);

	it("Prosody logs its external URLs", function ()
		assert.is_truthy(world.log():find("Serving 'post_msg' at https://example.com/msg\n", 1, true));
		assert.is_truthy(world.log():find("Serving 'file_share' at https://example.com/file_share\n", 1, true));
	end);

	it("Prosody reads a rejected body to its end, because a proxy that cannot send all of it may lose the answer", function ()
		local connection = wire.send(world.request("/msg/user", "", { ["Content-Length"] = limit + 1 })).connection;
		assert.is_truthy(assert(connection:receive("*l")):find("^HTTP/1.1 413 "));
		assert.equal(limit + 1, assert(connection:send(read("over"))));
		connection:settimeout(10);
		assert.is_truthy(assert(connection:receive("*a")):find("http_max_content_size", 1, true));
		connection:close();
	end);

	for _, proxy in ipairs(proxies) do
		local program = programs.find(proxy.name);
		local client, other = proxy.addresses[1], proxy.addresses[2];

		if program then describe(proxy.name, function ()
			setup(function ()
				plain, tls, authority = wire.free_port(), wire.free_port(), proxy.authority and folder .. proxy.authority;
				proxy.start(program);
				for _, port in ipairs { plain, tls } do
					wire.await(proxy.name .. " to listen", function ()
						local connection = socket.connect("127.0.0.1", port);
						return connection and connection:close();
					end);
				end
				if authority then wire.await("a certificate", function () return (pcall(request, client, "", "https://example.com/")); end); end
			end);

			teardown(function ()
				programs.stop(folder .. "/" .. proxy.name .. ".pid");
			end);

			it("a message goes through TLS and arrives, and Prosody knows the client's address and that it is encrypted", function ()
				assert.equal(201, request(client, "-d 'By the proxy'").status);
				arrives("By the proxy");
				local last = seen();
				assert.equal(client, last.ip);
				assert.is_true(last.secure);
				-- A client on the machine itself has the address of a trusted proxy, so Prosody would believe what it adds.
				assert.equal(201, request("127.0.0.1", "-H 'X-Forwarded-For: 192.0.2.99' -d 'From here'").status);
				arrives("From here");
				assert.equal("127.0.0.1", seen().ip);
			end);

			it("wrong passwords count for the client that sends them, even with a forged X-Forwarded-For", function ()
				local mark = world.log_mark();
				for attempt = 1, 10 do
					local answer = request(client, ("-H 'X-Forwarded-For: 192.0.2.%d' -d guess"):format(attempt), nil, "guess");
					assert.equal(401, answer.status);
					assert.is_truthy(answer.head:find("\nwww-authenticate: basic ", 1, true), answer.head);
				end
				for _, forged in ipairs { "192.0.2.99", "127.0.0.1", "127.0.0.1, 192.0.2.99", other } do
					local answer = request(client, ("-H 'X-Forwarded-For: %s' -d guess"):format(forged), nil, "guess");
					assert.equal(429, answer.status, forged);
					assert.is_truthy(answer.body:find("too many failed attempts", 1, true), answer.body);
					assert.is_truthy(answer.head:match("\nretry%-after: %d+\r"), answer.head);
				end
				local log = world.log(mark);
				assert.is_truthy(log:find("for user me@example.com from IP: " .. client .. "\n", 1, true));
				assert.is_nil(log:find("from IP: 192.0.2.", 1, true));
				assert.equal(401, request(other, "-d guess", nil, "guess").status);
				assert.equal(201, request(other, "-d 'From elsewhere'").status);
				arrives("From elsewhere");
			end);

			it("a body of http_max_content_size is accepted", function ()
				assert.equal(201, request(client, ("-H 'Content-Type: application/json' --data-binary @%s/under"):format(folder)).status);
				arrives("just under");
			end);

			it("a body over http_max_content_size is refused by this module, each time", function ()
				for _ = 1, 5 do
					for _, file in ipairs { "over", "far-over" } do
						for _, expect in ipairs { "-H Expect:", "" } do
							local ok, answer = pcall(request, client, ("%s --data-binary @%s/%s"):format(expect, folder, file));
							if ok then
								assert.equal("the request is larger than this server reads (http_max_content_size)", answer.body);
								assert.equal(413, answer.status);
							else
								assert.is_true(proxy.cuts_early_answers, answer);
							end
						end
					end
				end
			end);

			it("a request can wait for the longest time", function ()
				for seconds in block(proxy.language):gmatch(proxy.timeout or "$^") do assert.is_true(tonumber(seconds) > 60, seconds); end
				local answer = request(client, "-H 'Prefer: wait=5' -d Anyone?", "https://example.com/msg/other");
				assert.equal(202, answer.status);
				assert.is_truthy(answer.head:find("\npreference-applied: wait=5\r", 1, true), answer.head);
				assert.is_true(answer.seconds >= 5, answer.seconds);
			end);

			it("many clients share few connections to Prosody", function ()
				local baseline = seen();
				for number = 1, 30 do
					assert.equal(201, request(client, "-d " .. number).status);
					arrives(tostring(number));
				end
				local after = seen();
				assert.equal(30, after.count - baseline.count);
				local connections = after.connections - baseline.connections;
				assert.is_true(connections <= 5, connections .. " connections");
			end);

			it("credentials without TLS are rejected by the proxy, and never redirected or forwarded", function ()
				local baseline = seen().count;
				for _, url in ipairs { "http://example.com/msg/user", "http://example.com/msg", "http://example.com/msg/user?token=pmsg_1" } do
					local answer = request(client, "-H 'X-Forwarded-Proto: https' -d 'In the clear'", url);
					assert.equal(403, answer.status);
					assert.equal("Messages are accepted over HTTPS only.", answer.body);
				end
				assert.equal(baseline, seen().count);
			end);

			if proxy.redirects then it("other paths without TLS are redirected", function ()
				local answer = request(client, "", "http://example.com/other?a=b");
				assert.equal(308, answer.status);
				assert.is_truthy(answer.head:find("\nlocation: https://example.com/other?a=b\r", 1, true), answer.head);
			end); end

			it("a body in chunks arrives", function ()
				local answer = request(client, "-X POST -T - <'" .. folder .. "/haproxy.pem'");
				assert.equal(201, answer.status, answer.body);
				world.receive("user@example.com");
			end);

			it("post_msg_require_encryption accepts remote credentials over the proxy's TLS", function ()
				local afar = own_address();
				if not afar then
					print("not covered: a client that is not on the loopback interface, of which this machine has no other");
					return;
				end
				local direct = ("http://127.0.0.1:%d/msg/user"):format(world.server.http_port);
				local answer = request(afar, "-H 'Host: example.com' -d 'In the clear'", direct);
				assert.equal(403, answer.status);
				assert.is_truthy(answer.body:find("post_msg_require_encryption", 1, true), answer.body);
				assert.equal(201, request(afar, "-d 'From afar'").status);
				assert.equal(afar, seen().ip);
				arrives("From afar");
			end);

			it("a file of a message is uploaded, and its link leads through the proxy", function ()
				local answer = request(client, ("-F body=Key -F 'file=@%s/haproxy.pem;filename=a b.pem;type=application/x-pem-file'"):format(folder));
				assert.equal(201, answer.status, answer.body);
				local url = world.receive("user@example.com"):match("<url>(.-)</url>");
				assert.equal("https://example.com/file_share/", url:match("^https://[^/]*/[^/]*/"));
				local file = request(other, "", url);
				assert.equal(200, file.status, url);
				assert.equal(read("haproxy.pem"), file.body .. "\n");
				assert.is_truthy(file.head:find("\ncontent-type: application/x-pem-file\r", 1, true), file.head);
			end);

			it("another client can upload a large file", function ()
				local place = slot(limit);
				local answer = request(client, ("-H 'Authorization: %s' -T '%s/under'"):format(place.authorization, folder), place.url);
				assert.equal(201, answer.status, answer.body);
				assert.equal(read("under"), request(other, "", place.url).body);
			end);

			it("a browser gets the page and its files, and only the page itself can send", function ()
				for path, media_type in pairs { ["/msg"] = "text/html", ["/msg/page.css"] = "text/css", ["/msg/page.js"] = "text/javascript" } do
					local file = request(client, "-H 'Accept: text/html,*/*;q=0.8'", "https://example.com" .. path);
					assert.equal(200, file.status, path);
					assert.is_truthy(file.head:find("\ncontent-type: " .. media_type, 1, true), file.head);
				end
				for _, headers in ipairs { "-H 'Origin: https://example.com' -H 'Sec-Fetch-Site: same-origin'", "-H 'Origin: https://example.com'" } do
					local answer = request(client, headers .. " -d 'By the page'");
					assert.equal(201, answer.status, answer.body);
					arrives("By the page");
				end
				for _, headers in ipairs { "-H 'Origin: https://other.example' -H 'Sec-Fetch-Site: cross-site'", "-H 'Origin: https://other.example'" } do
					assert.equal(403, request(client, headers .. " -d 'By another page'").status);
				end
			end);

			it("nothing else arrived, and the log has no error", function ()
				local messages, trouble = world.collect();
				assert.same({}, trouble);
				assert.same({}, messages["user@example.com"]);
				assert.same({}, world.errors());
			end);

			it("a message arrives as soon as Prosody is back", function ()
				world.kill();
				for _ = 1, 3 do
					local ok, answer = pcall(request, client, "-d 'While Prosody is away'");
					assert.is_true(ok and answer.status >= 502 and answer.status <= 504 or proxy.cuts_early_answers, ok and answer.status or answer);
				end
				world.restart();
				world.login("user@example.com");
				watch();
				assert.equal(201, request(client, "-d 'Back again'").status);
				arrives("Back again");
			end);
		end); end
	end
end);
