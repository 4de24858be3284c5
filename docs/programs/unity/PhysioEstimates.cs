// Estimates in Unity; [sinks.osc] port = 9000. Attach to a GameObject.
using System;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using UnityEngine;

public class PhysioEstimates : MonoBehaviour
{
    public int port = 9000;
    public float arousal = float.NaN;  // NaN where it is missing

    private readonly ConcurrentDictionary<string, float> newest = new();
    private UdpClient receiver;

    private void OnEnable()
    {
        receiver = new UdpClient(new IPEndPoint(IPAddress.Loopback, port));
        receiver.BeginReceive(Received, null);
    }

    private void OnDisable() => receiver.Close();

    private void Update()
    {
        arousal = newest.TryGetValue("/physio/estimates/arousal", out var value)
            ? value : float.NaN;
    }

    private void Received(IAsyncResult result)
    {
        try
        {
            IPEndPoint sender = null;
            Bundle(receiver.EndReceive(result, ref sender));
            receiver.BeginReceive(Received, null);
        }
        catch (ObjectDisposedException)
        {
            // the component was disabled
        }
    }

    private void Bundle(byte[] data)
    {
        var at = 16;  // after "#bundle" and the time tag
        while (at + 4 <= data.Length)
        {
            var size = IPAddress.NetworkToHostOrder(BitConverter.ToInt32(data, at));
            var end = at + 4 + size;
            var position = at + 4;
            var address = Text(data, ref position);
            if (address.EndsWith(".missing"))
            {
                newest.TryRemove(address[..^".missing".Length], out _);
            }
            else if (Text(data, ref position) == ",f")
            {
                var bits = IPAddress.NetworkToHostOrder(BitConverter.ToInt32(data, position));
                newest[address] = BitConverter.Int32BitsToSingle(bits);
            }
            at = end;
        }
    }

    private static string Text(byte[] data, ref int position)
    {
        var end = Array.IndexOf(data, (byte)0, position);
        var text = Encoding.ASCII.GetString(data, position, end - position);
        position = (end / 4 + 1) * 4;
        return text;
    }
}
