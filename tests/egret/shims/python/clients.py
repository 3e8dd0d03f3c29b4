"""`python clients.py NAME URL`: one client makes one request as its documentation shows; prints what came back."""

import asyncio
import json
import sys


def urllib(url):
    import urllib.request

    return urllib.request.urlopen(url).read().decode()


def urllib_request(url):
    from urllib.request import Request, urlopen

    return urlopen(Request(url, data=b"hello", headers={"X-A": "1"})).read().decode()


def urllib_opener(url):
    import urllib.request

    return urllib.request.build_opener().open(url).read().decode()


def http_client(url):
    import http.client

    scheme, rest = url.split("://")
    authority, _, path = rest.partition("/")
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    connection = kind(authority)
    connection.request("GET", "/" + path)
    return connection.getresponse().read().decode()


def requests_get(url):
    import requests

    return requests.get(url).text


def requests_session(url):
    import requests

    with requests.Session() as session:
        return session.post(url, json={"a": 1}).text


def requests_params(url):
    import requests

    return requests.get(url, params={"q": "x y"}).text


def requests_bytes(url):
    import requests

    return requests.get(url.encode()).text


def requests_prepared(url):
    from requests import Request, Session

    return Session().send(Request("GET", url).prepare()).text


def urllib3_request(url):
    import urllib3

    return urllib3.request("GET", url).data.decode()


def urllib3_pool(url):
    import urllib3

    return urllib3.PoolManager().request("GET", url).data.decode()


def urllib3_connection_pool(url):
    import urllib3

    path = "/" + url.split("/", 3)[3]
    return urllib3.connection_from_url(url.rsplit("/", 1)[0]).request("GET", path).data.decode()


def httpx_get(url):
    import httpx

    return httpx.get(url).text


def httpx_client(url):
    import httpx

    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    with httpx.Client(base_url=f"{scheme}://{authority}") as client:
        return client.post("/" + path, json={"a": 1}).text


def httpx_http2(url):
    import httpx

    with httpx.Client(http2=True) as client:
        return client.get(httpx.URL(url)).text


def httpx_async(url):
    import httpx

    async def main():
        async with httpx.AsyncClient() as client:
            return (await client.get(url)).text

    return asyncio.run(main())


def httpx_stream(url):
    import httpx

    with httpx.stream("GET", url) as response:
        return "".join(response.iter_text())


def httpcore_request(url):
    import httpcore

    return httpcore.request("GET", url).content.decode()


def aiohttp_get(url):
    import aiohttp

    async def main():
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return await response.text()

    return asyncio.run(main())


def aiohttp_request(url):
    import aiohttp

    async def main():
        async with aiohttp.request("POST", url, json={"a": 1}) as response:
            return await response.text()

    return asyncio.run(main())


def aiohttp_params(url):
    import aiohttp

    async def main():
        async with aiohttp.ClientSession() as session, session.get(url, params={"q": "x y"}) as response:
            return await response.text()

    return asyncio.run(main())


def aiohttp_yarl(url):
    import aiohttp
    from yarl import URL

    async def main():
        async with aiohttp.ClientSession() as session, session.get(URL(url)) as response:
            return await response.text()

    return asyncio.run(main())


def aiohttp_websocket(url):
    import aiohttp

    async def main():
        async with aiohttp.ClientSession() as session, session.ws_connect(url.replace("http", "ws", 1)) as socket:
            return (await socket.receive()).data

    return asyncio.run(main())


def aiohttp_unix(url):
    import os

    import aiohttp
    from aiohttp import web

    async def main():
        path = os.environ["TMP_FOLDER"] + "/socket"
        application = web.Application()
        application.router.add_get("/", lambda request: web.Response(text=request.path_qs))
        runner = web.AppRunner(application)
        await runner.setup()
        await web.UnixSite(runner, path).start()
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session:
            async with session.get("http://localhost/") as response:
                return await response.text()

    return asyncio.run(main())


def aiohttp_own_proxy(url):
    import os

    import aiohttp

    async def main():
        async with aiohttp.ClientSession() as session:
            async with session.get(url, proxy=os.environ["OWN_PROXY"]) as response:
                return await response.text()

    return asyncio.run(main())


def aiohttp_session_proxy(url):
    import os

    import aiohttp

    async def main():
        async with aiohttp.ClientSession(proxy=os.environ["OWN_PROXY"]) as session, session.get(url) as response:
            return await response.text()

    return asyncio.run(main())


def urllib3_own_proxy(url):
    import os

    import urllib3

    return urllib3.ProxyManager(os.environ["OWN_PROXY"]).request("GET", url).data.decode()


def tornado(url):
    from tornado.httpclient import AsyncHTTPClient

    async def main():
        return (await AsyncHTTPClient().fetch(url)).body.decode()

    return asyncio.run(main())


def websockets(url):
    from websockets.asyncio.client import connect

    async def main():
        async with connect(url.replace("http", "ws", 1)) as socket:
            return await socket.recv(decode=True)

    return asyncio.run(main())


def websockets_sync(url):
    from websockets.sync.client import connect

    with connect(url.replace("http", "ws", 1)) as socket:
        return socket.recv()


def niquests(url):
    import niquests

    return niquests.get(url).text


def niquests_async(url):
    import niquests

    async def main():
        async with niquests.AsyncSession() as session:
            return (await session.get(url)).text

    return asyncio.run(main())


def curl_cffi(url):
    from curl_cffi import requests

    return requests.get(url).text


def curl_cffi_params(url):
    from curl_cffi import requests

    return requests.get(url, params={"q": "x"}).text


def curl_cffi_async(url):
    from curl_cffi.requests import AsyncSession

    async def main():
        async with AsyncSession() as session:
            return (await session.get(url)).text

    return asyncio.run(main())


def websocket_client(url):
    import websocket

    socket = websocket.create_connection(url.replace("http", "ws", 1))
    try:
        return str(socket.recv())
    finally:
        socket.close()


def subprocess(url):
    import subprocess

    code = f"from urllib.request import urlopen; print(urlopen({url!r}).read().decode())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def multiprocessing(url):
    import multiprocessing

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(requests_get, (url,))


if __name__ == "__main__":
    _, name, target = sys.argv
    try:
        print(json.dumps({"answer": globals()[name](target)}))
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
