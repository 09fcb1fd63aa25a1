-- A Debian server: the Prosody of the package, as the user prosody, with its own folders and ports, and with Debian's configuration. The
-- folders are file systems of this process (spec/run), so nothing of the machine changes.

local neighbours = require "spec.support.neighbours";
local socket = require "socket";
local file = require "pl.file";
local utils = require "pl.utils";

local debian = {};

local root = (os.getenv("PROSODY_ROOT") or ""):gsub("/*$", "");
local own = {}; -- the content of Debian's files
local server; -- the process that runs Prosody, or nil

-- Why there can be no such server; nil if there can.
function debian.obstacle()
	if not os.getenv("OWN_NAMESPACES") then return "not covered: a file system of its own (spec/run, as root)"; end
	if not file.read(root .. "/etc/prosody/prosody.cfg.lua") then return "not covered: Debian's configuration of Prosody"; end
end

-- Runs a command of the shell on this machine. > status, standard output, standard error
function debian.sh(command)
	local _, status, out, err = utils.executeex(command);
	return status, out, err;
end

local function run(command)
	local status, out, err = debian.sh(command);
	assert(status == 0, command .. ":\n" .. out .. err);
	return out;
end

-- Runs a command of the shell on the server. > status, standard output, standard error
function debian.sh_there(command)
	local prefix = root ~= "" and "chroot '" .. root .. "' " or "";
	return debian.sh(prefix .. "/usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c " .. utils.quote_arg(command));
end

-- Runs prosodyctl, for a minute at most. Its first lines may be warnings about missing libraries. > status, standard output, standard error
function debian.prosodyctl(words)
	return debian.sh_there("timeout 60 prosodyctl " .. words);
end

function debian.write(path, text)
	assert(file.write(root .. path, text), path);
end

-- A path of the server, for this machine.
function debian.path(path)
	return root .. path;
end

function debian.config() --> Debian's configuration
	return own.config;
end

-- Replaces /etc/hosts of this machine and of the server, except localhost: { name = address }
function debian.set_names(names)
	local text = own.hosts;
	for name, address in pairs(names) do text = text .. address .. " " .. name .. "\n"; end
	for _, prefix in ipairs { root, "" } do
		local hosts = io.open(prefix .. "/etc/hosts", "w");
		hosts:write(text);
		hosts:close();
	end
end

-- Replaces folders of the server by new file systems, and installs the module.
function debian.set_up()
	own.config = file.read(root .. "/etc/prosody/prosody.cfg.lua");
	own.hosts = "127.0.0.1 localhost\n::1 localhost\n";
	run([[set -e
		root=']] .. root .. [['
		user=$(stat -c %u "$root/var/lib/prosody")
		group=$(stat -c %g "$root/var/lib/prosody")
		for folder in /var/lib/prosody /var/log/prosody /run/prosody /usr/local/lib/prosody /etc/letsencrypt; do
			mkdir -p "$root$folder"
			mount -t tmpfs tmpfs "$root$folder"
			chown $user:$group "$root$folder"
			chmod 755 "$root$folder"
		done
		for folder in "$root/etc/prosody" "$root/etc/ssl/certs" ${root:+/etc/ssl/certs}; do
			copy=$(mktemp -d)
			mkdir -p "$folder"
			cp -a "$folder/." "$copy/"
			mount -t tmpfs tmpfs "$folder"
			chmod 755 "$folder"
			cp -a "$copy/." "$folder/"
			rm -r "$copy"
		done
		hosts=$(mktemp)
		chmod 644 "$hosts"
		touch "$root/etc/hosts"
		mount --bind "$hosts" /etc/hosts
		[ -z "$root" ] || mount --bind "$hosts" "$root/etc/hosts"
		rm "$hosts"
		mkdir -p "$root/usr/local/lib/prosody/modules"
		cp -r ']] .. os.getenv("PLUGIN_DIR") .. [[/mod_post_msg' "$root/usr/local/lib/prosody/modules/"]]);
	debian.set_names {};
end

function debian.accepts_connections(port, address)
	local conn = socket.connect(address or "127.0.0.1", port);
	if conn then conn:close(); end
	return conn ~= nil;
end

function debian.wait_until(condition, sentence)
	local deadline = socket.gettime() + 60;
	while not condition() do
		if socket.gettime() >= deadline then error(sentence .. "\n" .. debian.log():sub(-1500), 2); end
		socket.sleep(0.05);
	end
end

function debian.log() --> text
	return file.read(root .. "/var/log/prosody/prosody.log") or "";
end

function debian.stop()
	if not server then return; end
	debian.sh("kill " .. server); -- it may have ended
	debian.wait_until(function () return (file.read("/proc/" .. server .. "/cmdline") or "") == ""; end, "Prosody does not end");
	server = nil;
end

-- Starts Prosody with a configuration, in place of one that runs. `is_without_http`: no host loads the module.
function debian.start(config, is_without_http)
	debian.stop();
	if config then debian.write("/etc/prosody/prosody.cfg.lua", config); end
	local prefix = root ~= "" and "chroot '" .. root .. "' " or "";
	server = run("{ " .. prefix .. "/usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin setpriv --reuid prosody --regid prosody"
		.. " --init-groups prosody -F </dev/null >/dev/null 2>&1 & echo $!; }"):match("%d+");
	debian.wait_until(function ()
		return debian.accepts_connections(5222) and (is_without_http or debian.accepts_connections(5280));
	end, "Prosody does not start");
end

-- An authority that this machine and the server trust, and its certificates for these names.
function debian.trust_authority(names)
	own.certificates = neighbours.certify(names);
	for _, prefix in ipairs(root ~= "" and { root, "" } or { "" }) do
		run(([[cp '%s/ca.crt' %s/etc/ssl/certs/authority.pem
			ln -sf authority.pem "%s/etc/ssl/certs/$(openssl x509 -noout -hash -in '%s/ca.crt').0"
			cat '%s/ca.crt' >>%s/etc/ssl/certs/ca-certificates.crt]])
			:format(own.certificates, prefix, prefix, own.certificates, own.certificates, prefix));
	end
end

-- The folder with NAME.crt and NAME.key of each name.
function debian.certificates()
	return own.certificates;
end

-- Puts certificates where certbot leaves them, which only root can read.
function debian.certify(...)
	for _, name in ipairs { ... } do
		run(([[cd '%s/etc/letsencrypt' && mkdir -p live/%s && chmod 700 live && cp '%s/%s.crt' live/%s/fullchain.pem
			cp '%s/%s.key' live/%s/privkey.pem]]):format(root, name, own.certificates, name, name, own.certificates, name, name));
	end
end

-- Prosody has only the certificates of these names, as `prosodyctl cert import` leaves them.
function debian.import(...)
	run(("rm -rf '%s'/etc/letsencrypt/live '%s'/etc/prosody/certs/*"):format(root, root));
	for _, name in ipairs { ... } do
		debian.certify(name);
		run(([[user=$(stat -c %%u '%s/var/lib/prosody') && cd '%s' && cp %s.crt %s.key '%s/etc/prosody/certs/' && chown $user '%s'/etc/prosody/certs/*]])
			:format(root, own.certificates, name, name, root, root));
	end
end

return debian;
