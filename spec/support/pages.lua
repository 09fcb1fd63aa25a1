-- README.markdown and docs/*.md: the specs test all that they show.

local read = require "pl.file".read;

local pages = {
	names = { "README.markdown" }; -- and the others, in alphabetical order
};

local here = debug.getinfo(1, "S").source:match("^@(.*)/spec/") or ".";

local listing = assert(io.popen("cd '" .. here .. "' && LC_ALL=C ls docs/*.md"));
for name in listing:lines() do table.insert(pages.names, name); end
listing:close();

function pages.read(name)
	return assert(read(here .. "/" .. name));
end

-- The captures of a pattern on the page.
function pages.find(name, pattern)
	return assert(pages.read(name):match(pattern), name .. " has nothing like " .. pattern);
end

-- > its blocks in order, { place, language, lines, text, spec (that a comment in the line above names) };
-- code that is in no block, { place, text, span (in a line) }
function pages.code(name)
	local blocks, elsewhere = {}, {};
	local block, number, above = nil, 0, "";
	for line in pages.read(name):gmatch("([^\n]*)\n") do
		number = number + 1;
		local fence = line:match("^%s*```(.*)$");
		if fence and not block then
			block = { place = ("%s, line %d"):format(name, number + 1), language = fence, lines = {};
				spec = above:match("^<!%-%- (spec/%S+) %-%->$") };
		elseif fence then
			block.text = table.concat(block.lines, "\n") .. "\n";
			table.insert(blocks, block);
			block = nil;
		elseif block then
			table.insert(block.lines, line);
		elseif line:match("^    ") or line:match("^\t") then
			table.insert(elsewhere, { place = ("%s, line %d"):format(name, number), text = line });
		else
			for span in line:gmatch("`([^`]+)`") do
				table.insert(elsewhere, { place = ("%s, line %d"):format(name, number), text = span, span = true });
			end
		end
		above = line;
	end
	assert(not block, name .. " ends in a block");
	return blocks, elsewhere;
end

return pages;
