return { components = [[
Component "echo.example.com" "spec_echo"
Component "rooms.example.com" "muc"
Component "closed.example.com" "muc"
	restrict_room_creation = true
]] };
