// SDKs of clouds with their default credentials: where those come from is what `egret run` sets, and nothing else.
const { fromNodeProviderChain } = require('@aws-sdk/credential-providers');
const { DefaultAzureCredential } = require('@azure/identity');
const { GoogleAuth } = require('google-auth-library');

(async () => {
  const key = await fromNodeProviderChain()();
  const account = await new GoogleAuth({ scopes: ['https://www.googleapis.com/auth/devstorage.full_control'] }).getClient();
  const token = await new DefaultAzureCredential().getToken('https://vault.azure.net/.default');
  console.log(key.accessKeyId, (await account.getAccessToken()).token, token.token);
})();
