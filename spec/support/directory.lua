-- An LDAP server (OpenLDAP) for the specs, with accounts for Prosody's mod_auth_ldap.

local programs = require "spec.support.programs";
local read = require "pl.file".read;
local write = require "pl.file".write;
local socket = require "socket";
local wire = require "spec.support.wire";

local output_of = programs.output_of;
local root = os.getenv("PROSODY_ROOT") or "";

local directory = { base = "dc=directory,dc=example" };

local function try(command)
	local ok = os.execute(command);
	return ok == true or ok == 0; -- COMPAT Lua 5.1
end

-- > the environment for Prosody; or nil, and the reason
function directory.environment(lua)
	local libraries = output_of("realpath -m -s '"..programs.folder.."/usr/lib'"):match("[^\n]+").."/"
		..output_of("uname -m"):match("%S+").."-linux-gnu";
	if not try("'"..programs.folder.."/usr/bin/slapd' -VV >/dev/null 2>&1") then
		return nil, "OpenLDAP, which this machine does not have";
	elseif root ~= "" then
		if try("ls '"..root.."'/usr/lib/*/lua/"..lua.."/lualdap.so >/dev/null 2>&1") then return {}; end
		return nil, "lua-ldap, which the root does not have";
	elseif not try(("test -e '%s/lua/%s/lualdap.so'"):format(libraries, lua)) then
		return nil, "lua-ldap for Lua "..lua..", which this machine does not have";
	end
	return { LUA_CPATH = ("%s/lua/%s/?.so;;"):format(libraries, lua); LD_LIBRARY_PATH = libraries };
end

-- Starts the server with these accounts ({ name = password }) and its data below a folder. > settings of mod_auth_ldap
function directory.start(folder, accounts)
	local here = output_of("realpath -s '"..programs.folder.."'"):match("[^\n]+");
	local configuration = { "modulepath "..here.."/usr/lib/ldap", "moduleload back_mdb" };
	for index, schema in ipairs { "core", "cosine", "inetorgperson" } do
		table.insert(configuration, index, "include "..here.."/etc/ldap/schema/"..schema..".schema");
	end
	for _, line in ipairs {
		"pidfile "..folder.."/slapd.pid", "database mdb", 'suffix "'..directory.base..'"', 'rootdn "cn=admin,'..directory.base..'"',
		"rootpw pw-of-admin", "directory "..folder.."/directory",
	} do
		table.insert(configuration, line);
	end
	local entries = { ("dn: %s\nobjectClass: domain\ndc: directory\n"):format(directory.base) };
	for name, password in pairs(accounts) do
		table.insert(entries, ("dn: uid=%s,%s\nobjectClass: inetOrgPerson\nuid: %s\ncn: %s\nsn: %s\nuserPassword: %s\n")
			:format(name, directory.base, name, name, name, password));
	end
	assert(write(folder.."/slapd.conf", table.concat(configuration, "\n").."\n"));
	assert(write(folder.."/accounts.ldif", table.concat(entries, "\n")));
	local port = wire.free_port();
	local slapd = "'"..here.."/usr/bin/slapd'";
	assert(try(("mkdir -p '%s/directory' && %s -T add -f '%s/slapd.conf' -l '%s/accounts.ldif' >'%s/slapd.log' 2>&1")
		:format(folder, slapd, folder, folder, folder)), read(folder.."/slapd.log"));
	os.execute(("timeout 3600 %s -f '%s/slapd.conf' -h ldap://127.0.0.1:%d -d 0 >>'%s/slapd.log' 2>&1 &"):format(slapd, folder, port, folder));
	wire.await("OpenLDAP", function ()
		local connection = socket.connect("127.0.0.1", port);
		if connection then connection:close(); end
		return connection ~= nil;
	end);
	return ("authentication = 'ldap'; ldap_server = '127.0.0.1:%d'; ldap_base = '%s'; ldap_rootdn = 'cn=admin,%s'; ldap_password = 'pw-of-admin'")
		:format(port, directory.base, directory.base);
end

function directory.stop(folder)
	programs.stop(folder.."/slapd.pid");
end

return directory;
