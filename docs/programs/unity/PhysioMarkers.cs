// Markers from Unity; [sinks.http] with a fixed port and token. PhysioMarkers.Send("film 3").
using System.Collections;
using System.Globalization;
using System.Text;
using UnityEngine;
using UnityEngine.Networking;

public class PhysioMarkers : MonoBehaviour
{
    public string url = "http://127.0.0.1:8765";
    public string token = "";  // "control" of http.json in the session's folder

    public void Send(string label)
    {
        StartCoroutine(Post(label, Time.realtimeSinceStartupAsDouble));
    }

    private IEnumerator Post(string label, double onset)
    {
        yield return new WaitForEndOfFrame();
        var age = Time.realtimeSinceStartupAsDouble - onset;
        var quoted = label.Replace("\\", "\\\\").Replace("\"", "\\\"");
        var seconds = age.ToString("F4", CultureInfo.InvariantCulture);
        var json = $"{{\"label\": \"{quoted}\", \"age\": {seconds}}}";
        using var request = new UnityWebRequest($"{url}/marker", "POST");
        request.uploadHandler = new UploadHandlerRaw(Encoding.UTF8.GetBytes(json));
        request.downloadHandler = new DownloadHandlerBuffer();
        request.SetRequestHeader("Content-Type", "application/json");
        request.SetRequestHeader("Authorization", $"Bearer {token}");
        yield return request.SendWebRequest();
        if (request.result != UnityWebRequest.Result.Success)
        {
            Debug.LogWarning($"marker {label}: {request.downloadHandler.text}");
        }
    }
}
