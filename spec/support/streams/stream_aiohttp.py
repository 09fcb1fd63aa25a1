"""aiohttp sends chunks if the body is an asynchronous generator. Without a Content-Type, it says application/octet-stream."""
import asyncio
import sys
import aiohttp


async def generate(parts):
    for part in parts:
        yield part.encode()


async def main():
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {sys.argv[2]}", "Content-Type": "text/plain"}) as session:
        for parts in [["x" * 10000] * 10, ["sm", "all"]] * 2:
            async with session.post(sys.argv[1], data=generate(parts)) as answer:
                print(answer.status, end=" ")

asyncio.run(main())
