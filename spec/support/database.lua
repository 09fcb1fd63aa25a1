-- A PostgreSQL server for the specs, and the libraries for Prosody to use it or SQLite.

local read = require "pl.file".read;
local programs = require "spec.support.programs";
local wire = require "spec.support.wire";

local output_of = programs.output_of;
local root = os.getenv("PROSODY_ROOT") or "";
local libraries = output_of("realpath -m -s '" .. programs.folder .. "/usr/lib'"):match("[^\n]+") .. "/"
	.. output_of("uname -m"):match("%S+") .. "-linux-gnu";

local database = { library_path = "LD_LIBRARY_PATH='" .. libraries .. "'" };

local function try(command)
	local ok = os.execute(command);
	return ok == true or ok == 0; -- COMPAT Lua 5.1
end

local function text_of(path)
	return read(path) or "";
end

-- The environment in which Prosody loads the unpacked library.
function database.environment(lua)
	return {
		LUA_PATH = ("%s/../../share/lua/%s/?.lua;;"):format(libraries, lua);
		LUA_CPATH = ("%s/lua/%s/?.so;;"):format(libraries, lua);
		LD_LIBRARY_PATH = libraries;
	};
end

-- Whether Prosody can use "postgresql" or "sqlite3". > true; or nil, and the reason
function database.has_library(name, lua)
	if root ~= "" then return nil, name .. " for a Prosody in a root of its own"; end
	if not try(("test -e '%s/lua/%s/dbd/%s.so' || test -e '/usr/lib/%s/lua/%s/dbd/%s.so'")
		:format(libraries, lua, name, libraries:match("[^/]+$"), lua, name)) then
		return nil, "lua-dbi-" .. name .. ", which this machine does not have";
	end
	return true;
end

-- Starts PostgreSQL, not as root because it refuses that, with its data below a folder. > true; or nil, and the reason
function database.make(folder, lua)
	local ok, why = database.has_library("postgresql", lua);
	if not ok then return nil, why; end
	local binaries = output_of(("ls -d '%s'/usr/lib/postgresql/*/bin /usr/lib/postgresql/*/bin 2>/dev/null"):format(programs.folder)):match("[^\n]+");
	if not binaries then return nil, "PostgreSQL, which this machine does not have"; end
	binaries = output_of("realpath -s '" .. binaries .. "'"):match("[^\n]+");
	local script = assert(io.open(folder .. "/postgresql.sh", "wb"));
	script:write(([[
cd '%s' || exit
export %s
user='env'
if [ "$(id -u)" = 0 ]; then
	chmod 755 . && { [ -d database ] || install -d -o nobody -m 700 database; } && chmod 755 database
	user='setpriv --reuid nobody --regid nogroup --clear-groups env'
fi
case $1 in
	init) $user '%s/initdb' -D "$PWD/database/data" -U prosody -A trust -E UTF8 --no-locale --no-sync ;;
	start)
		$user timeout 3600 '%s/postgres' -D "$PWD/database/data" -k "$PWD/database" -c listen_addresses= -c fsync=off >database.log 2>&1 &
		echo $! >database.pid ;;
	stop) $user '%s/pg_ctl' -D "$PWD/database/data" -m fast -w stop ;;
esac
]]):format(folder, database.library_path, binaries, binaries, binaries));
	script:close();
	if not try(("sh '%s/postgresql.sh' init >'%s/database.log' 2>&1"):format(folder, folder)) then
		return nil, "PostgreSQL, which does not run here: " .. text_of(folder .. "/database.log"):sub(-300);
	end
	return true;
end

function database.start(folder)
	os.remove(folder .. "/database.log");
	os.execute(("sh '%s/postgresql.sh' start >>'%s/database.log' 2>&1"):format(folder, folder));
	wire.await("PostgreSQL", function ()
		return text_of(folder .. "/database.log"):find("ready to accept connections", 1, true);
	end);
end

function database.stop(folder)
	os.execute(("sh '%s/postgresql.sh' stop >>'%s/database.log' 2>&1"):format(folder, folder));
end

-- The lines of the configuration that store everything there.
function database.settings(folder)
	return ("default_storage = 'sql'\nsql = { driver = 'PostgreSQL', database = 'postgres', username = 'prosody', host = %q }")
		:format(folder .. "/database");
end

return database;
